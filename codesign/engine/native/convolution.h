// How sixteen samples at a time go through a convolution: a vector holds four neighbouring operands of each of them.
#ifndef CODESIGN_ENGINE_CONVOLUTION_H_
#define CODESIGN_ENGINE_CONVOLUTION_H_

#include <vector>

#include "kernels_conv.h"
#include "model.h"

namespace codesign::engine {

// Where the operands of every pixel are, seen from the pixel: in each row of the kernel a run of bytes of the padded
// image, cut into groups of four. An image is read at some of the shifts 0..3, so that every group begins a vector.
struct Convolution {
    // Whether the window is that of a convolution; the kernels are for nothing else.
    bool regular = false;

    int image_bytes = 0;     // of a padded image; 0 where images need no padding before they are read
    std::vector<Run> padded; // pieces of it, in order
    std::vector<int> shifts;
    int n_dwords = 0;                  // that are read of an image at each shift, a multiple of 16
    std::vector<std::int32_t> targets; // (shifts, n_dwords): the vector that each becomes
    int n_vectors = 0;

    std::vector<std::int32_t> groups;   // vector of each group of operands, counted from the pixel's first
    std::vector<Span> operands;         // of each group
    std::vector<std::int32_t> pixel_at; // first vector of each pixel; the last one's a few times more

    // The same for a max pooling behind the convolution: (pooled pixels, n_places), some more than once. No entries
    // where the two cannot be done in one.
    int n_places = 1;
    std::vector<std::int32_t> pooled_at;
};

Convolution convolution_of(const Layer &layer);
// Adds the pooling, where each pixel of the convolution is in at most one of its windows.
void add_pooling(const Layer &pooling, Convolution &convolution);

} // namespace codesign::engine

#endif
