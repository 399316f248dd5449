#include "convolution.h"

#include <algorithm>

namespace codesign::engine {

namespace {

constexpr int DWORD = 4;
constexpr int LINE = 64;

int rounded_up(int number, int to) { return (number + to - 1) / to * to; }

// A window that is kernel_width places wide, on an image of `width` pixels; first row and column of each pixel's.
struct Grid {
    int width = 0, kernel_width = 0;
    std::vector<int> rows, columns;
};

// Whether the places of a pixel are those of such a window, and where it begins. A window without any pixel of the
// image could be anywhere.
bool place(const std::int32_t *places, int n_places, int height, Grid &grid) {
    const std::int32_t *present = std::find_if(places, places + n_places, [](std::int32_t at) { return at >= 0; });
    if (present == places + n_places)
        return false;
    const int number = int(present - places);
    const int row = *present / grid.width - number / grid.kernel_width;
    const int column = *present % grid.width - number % grid.kernel_width;
    for (int k = 0; k < n_places; ++k) {
        const int y = row + k / grid.kernel_width, x = column + k % grid.kernel_width;
        const bool inside = y >= 0 && y < height && x >= 0 && x < grid.width;
        if (places[k] != (inside ? y * grid.width + x : -1))
            return false;
    }
    grid.rows.push_back(row);
    grid.columns.push_back(column);
    return true;
}

bool is_grid(const Layer &layer, int in_pixels, Grid &grid) {
    const Window &window = layer.window;
    grid.rows.clear();
    grid.columns.clear();
    for (int pixel = 0; pixel < layer.pixels; ++pixel)
        if (!place(window.places.data() + std::ptrdiff_t(pixel) * window.n_places, window.n_places,
                   in_pixels / grid.width, grid))
            return false;
    return true;
}

// The window's shape is found from its places; what two shapes have in common is as good in either. Long runs first.
bool find_grid(const Layer &layer, int in_pixels, Grid &grid) {
    const int n_places = layer.window.n_places;
    for (grid.kernel_width = n_places; grid.kernel_width > 0; --grid.kernel_width)
        for (grid.width = in_pixels; n_places % grid.kernel_width == 0 && grid.width > 0; --grid.width)
            if (in_pixels % grid.width == 0 && is_grid(layer, in_pixels, grid))
                return true;
    return false;
}

// An image with its margins, in bytes.
struct Margins {
    int top, left, height, row; // `height` in rows, `row` in bytes
};

Margins margins_of(const Grid &grid, int height, int kernel_height, int channels) {
    const auto [first_row, last_row] = std::minmax_element(grid.rows.begin(), grid.rows.end());
    const auto [first_column, last_column] = std::minmax_element(grid.columns.begin(), grid.columns.end());
    Margins found{};
    found.top = std::max(0, -*first_row);
    found.left = std::max(0, -*first_column);
    found.height = found.top + std::max(height, *last_row + kernel_height);
    const int width = found.left + std::max(grid.width, *last_column + grid.kernel_width);
    found.row = rounded_up(width * channels, DWORD);
    return found;
}

void add_run(int from, int size, int &to, std::vector<Run> &runs) {
    for (int done = 0; done < size; done += LINE, to += LINE)
        runs.push_back({from < 0 ? -1 : from + done, to, std::min(size - done, LINE)});
    to -= rounded_up(size, LINE) - size;
}

// Images whose pixels do not begin at dwords are padded byte by byte, and read at every shift that occurs.
void pad_images(const Margins &margins, int width, int height, int channels, Convolution &found) {
    int to = 0;
    const int row = width * channels, before = margins.left * channels;
    for (int y = 0; y < margins.height; ++y) {
        const int from = y - margins.top;
        if (from < 0 || from >= height) {
            add_run(-1, margins.row, to, found.padded);
            continue;
        }
        add_run(-1, before, to, found.padded);
        add_run(from * row, row, to, found.padded);
        add_run(-1, margins.row - before - row, to, found.padded);
    }
    found.image_bytes = rounded_up(to, LINE) + LINE; // kernels read a vector at a shift
    found.n_dwords = rounded_up(to, LINE) / DWORD;
    for (const int shift : found.shifts)
        for (int dword = 0; dword < found.n_dwords; ++dword)
            found.targets.push_back(
                std::int32_t(dword * int(found.shifts.size()) +
                             int(std::find(found.shifts.begin(), found.shifts.end(), shift) - found.shifts.begin())));
    // A group may reach behind the image, to weights of zero.
    found.n_vectors = (found.n_dwords + 1) * int(found.shifts.size());
}

// Others get their margin as vectors, which never change.
void place_vectors(const Margins &margins, int width, int height, int channels, Convolution &found) {
    const int row = width * channels / DWORD, margin_row = margins.row / DWORD;
    const int last = margins.height * margin_row; // takes what lies behind the image
    found.n_dwords = rounded_up(height * row * DWORD, LINE) / DWORD;
    for (int dword = 0; dword < found.n_dwords; ++dword) {
        const int y = dword / row, x = dword % row;
        const int at = (margins.top + y) * margin_row + margins.left * channels / DWORD + x;
        found.targets.push_back(y < height ? at : last);
    }
    found.n_vectors = last + 1;
}

} // namespace

Convolution convolution_of(const Layer &layer) {
    Convolution found;
    const int channels = layer.window.channels, in_pixels = layer.n_in / channels;
    Grid grid;
    found.regular = find_grid(layer, in_pixels, grid);
    if (!found.regular)
        return found;
    const int height = in_pixels / grid.width, kernel_height = layer.window.n_places / grid.kernel_width;
    const Margins margins = margins_of(grid, height, kernel_height, channels);
    std::vector<int> first; // byte of each pixel's operands
    for (std::size_t p = 0; p < grid.rows.size(); ++p)
        first.push_back((grid.rows[p] + margins.top) * margins.row + (grid.columns[p] + margins.left) * channels);
    for (int shift = 0; shift < DWORD; ++shift)
        if (std::any_of(first.begin(), first.end(), [&](int at) { return at % DWORD == shift; }))
            found.shifts.push_back(shift);
    if (channels % DWORD)
        pad_images(margins, grid.width, height, channels, found);
    else
        place_vectors(margins, grid.width, height, channels, found);
    // Vectors of one dword at all its shifts are neighbours.
    const int n_shifts = int(found.shifts.size()), run = grid.kernel_width * channels;
    for (int row = 0; row < kernel_height; ++row)
        for (int at = 0; at < run; at += DWORD) {
            found.groups.push_back((row * margins.row + at) / DWORD * n_shifts);
            found.operands.push_back({row * run + at, row * run + std::min(at + DWORD, run)});
        }
    for (const int at : first) {
        const auto shift = std::find(found.shifts.begin(), found.shifts.end(), at % DWORD);
        found.pixel_at.push_back(at / DWORD * n_shifts + int(shift - found.shifts.begin()));
    }
    found.pixel_at.resize(found.pixel_at.size() + MOST_PIXELS - 1, found.pixel_at.back());
    return found;
}

void add_pooling(const Layer &pooling, Convolution &convolution) {
    const Window &window = pooling.window;
    const int n_pixels = int(convolution.pixel_at.size()) - MOST_PIXELS + 1;
    std::vector<char> used(std::size_t(n_pixels), 0);
    for (const std::int32_t at : window.places)
        if (at < 0 || used[std::size_t(at)]++)
            return;
    // Whole tiles of pixels; the largest stays the same where one of them counts twice.
    const int n = window.n_places;
    convolution.n_places = n <= MOST_PIXELS || n % 3 == 0 ? n : rounded_up(n, MOST_PIXELS);
    for (int pixel = 0; pixel < pooling.pixels; ++pixel)
        for (int k = 0; k < convolution.n_places; ++k) {
            const std::int32_t place = window.places[std::size_t(pixel) * std::size_t(n) + std::size_t(k % n)];
            convolution.pooled_at.push_back(convolution.pixel_at[std::size_t(place)]);
        }
    convolution.pooled_at.resize(convolution.pooled_at.size() + MOST_PIXELS - 1, convolution.pooled_at.back());
}

} // namespace codesign::engine
