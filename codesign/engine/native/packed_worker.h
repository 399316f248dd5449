// One thread's trials on the fast simulator.
#ifndef CODESIGN_ENGINE_PACKED_WORKER_H_
#define CODESIGN_ENGINE_PACKED_WORKER_H_

#include <algorithm>
#include <memory>

#include "packed.h"
#include "packed_batches.h"
#include "parameters.h"
#include "strikes.h"

namespace codesign::engine {

// Samples whose bytes differ from the fault-free run, ascending, and their bytes, a stride apart; or, where only one
// column has changed, what was added to it alone.
struct Rows {
    int n = 0;
    std::vector<std::int32_t> samples;
    Bytes bytes;
    int column = -1;
    std::vector<std::int16_t> deltas;
};

// An inverted bit of a sum behind its vote, or of the register behind a stage of a block's chain. `row` is
// sample * pixels + pixel.
struct Flip {
    std::int32_t row, neuron, stage, bit;
    // Without a branch: whether rows are equal is hard to foresee.
    std::int64_t place() const { return std::int64_t(row) << 32 | neuron; }
    bool operator<(const Flip &other) const { return place() < other.place(); }
};

constexpr int TILE = 64; // rows of sums in the making

// Adding up anew takes about as long as updating with every third group of four operands.
inline int most_updates(const Block &block) { return std::max(1, block.k4 / 3); }

// Quotients of numbers that ascend slowly: a division is slow, and most have the quotient of the one before.
class Quotient {
  public:
    explicit Quotient(Int divisor) : divisor_(divisor) {}
    Int operator()(Int number) {
        if (number < first_ || number >= first_ + divisor_) {
            quotient_ = number / divisor_;
            first_ = quotient_ * divisor_;
        }
        return quotient_;
    }
    // Of the number before.
    Int rest(Int number) const { return number - first_; }

  private:
    Int divisor_, quotient_ = 0, first_ = 0;
};

class PackedWorker : public Worker {
  public:
    explicit PackedWorker(const PackedSimulator &simulator);
    const Outcome &run(const Fault *faults, std::size_t n_faults, bool with_logits) override;
    const Outcome &run_drawn(const FaultSpace &space, Int trial, bool with_logits) override;

  private:
    // What the faults of a trial do to one block.
    struct Struck {
        std::vector<const Fault *> stored;
        std::vector<ChangedParameter> changed;
        std::vector<Use> uses;                 // of one sample each, by row
        std::vector<StruckAdder> adders;       // the same, of a layer without copies whose multipliers are not struck
        std::vector<const Fault *> persistent; // multipliers and adders struck in every sample
        std::vector<Flip> votes, flips;        // of one sample each, by place: of sums, of registers
        std::vector<Flip> persistent_votes, persistent_flips; // `row` without the sample
        std::size_t next_use = 0, next_adder = 0, next_vote = 0, next_flip = 0;
        bool used = false;

        bool everywhere() const {
            return !changed.empty() || !persistent.empty() || !persistent_votes.empty() || !persistent_flips.empty();
        }
        void clear();
    };

    // A row of sums in the making: one pixel of one sample.
    struct Job {
        std::int32_t row;
        const std::uint8_t *operands;
    };

    void forget_trial();
    const Outcome &run_sorted(bool with_logits);
    void sort_faults(const Fault *faults, std::size_t n_faults);
    // Draws a segment straight into what its faults do; false if it is not that simple.
    bool draw_adders(const FaultSpace &space, const Segment &segment, Int trial);
    bool draw_flips(const FaultSpace &space, const Segment &segment, Int trial);
    bool draw_parameters(const FaultSpace &space, const Segment &segment, Int trial);
    static void join_adders(Struck &struck);
    void settle_faults();
    void add_flip(const Fault &fault, std::size_t block);
    void run_chunk(int first, int end);
    void run_block(std::size_t number, int first, int end);
    // One changed column after the other, or the only one: parameters of a dense block have changed, what enters it has
    // not.
    void by_columns(std::size_t number, int first, int end);
    void one_column(std::size_t number, int first, int end);
    // The rows with those of `neurons_` anew; false where that is not possible or not faster.
    bool some_neurons(std::size_t number, int first, int end);
    // Dense blocks by whole steps, where no sum and no register is struck.
    bool steps(std::size_t number) const;
    void step(std::size_t number);
    void fill_rows(std::size_t number);
    void pool(std::size_t number);
    void dense_rows(std::size_t number);
    void conv_rows(std::size_t number);

    // Uses and flips of a block in the samples [first, end), with those that strike every sample.
    void collect(std::size_t number, int first, int end);
    // Of sums and registers of a block in these samples, with those that strike every sample.
    static void collect_flips(const Block &block, int first, int end, const std::vector<Flip> &persistent,
                              const std::vector<Flip> &flips, std::size_t &next, std::vector<Flip> &room,
                              const Flip *&begin, const Flip *&finish);
    // Nothing at all is to strike in the samples at hand.
    bool unstruck() const {
        return use_ == use_end_ && adder_ == adder_end_ && vote_ == vote_end_ && flip_ == flip_end_;
    }
    // Samples of [first, end) that anything touches, ascending; collect() comes before.
    void find_touched(std::size_t number, int first, int end);
    // A changed sample's bytes that enter a block, else null; `at` is the place in the rows, for ascending samples.
    const std::uint8_t *changed_entering(std::size_t number, int sample, int &at) const;
    void mark_pixels(std::size_t number, int sample, const std::uint8_t *values, const std::uint8_t *changed);
    // Whether whole images are to be computed anew, without strikes, by kernels that do it in batches.
    bool in_batches(std::size_t number, bool quiet);
    void conv_batches(std::size_t number);
    // Neurons that differ from the fault-free run in some sample.
    void find_neurons(std::size_t number);
    // A convolution's sample anew, where no sum and no register is struck.
    void all_pixels(std::size_t number, int sample, const std::uint8_t *values);
    void multiply_some(std::size_t number);
    // Strikes of multipliers and adders, then of voters, on the sums of the jobs at hand. Copies that differ raise
    // flags.
    void strike(std::size_t number);
    void strike_adders(std::size_t number);
    void strike_votes(const Block &block);
    // The places of the jobs, by their row counted from the first one's, which is returned.
    int note_slots();
    // Flips behind the sums: `bytes` are those of the first job, the others follow a stride apart for each sample.
    void flip_registers(std::size_t number, std::uint8_t *bytes, int stride);
    // Takes the flips of the registers behind one sum into `masks_`; false if there are none.
    bool gather_masks(int row, int neuron);
    void finish_logits(std::size_t number);
    void finish_sample(const Block &block, int sample, const std::int32_t *sums);

    const PackedSimulator &simulator_;
    const Kernels &kernels_;
    const std::vector<Block> &blocks_;
    std::vector<int> block_of_; // of each layer, -1 for none
    int chunk_;
    bool with_logits_ = false;

    std::vector<PackedParameters> parameters_; // as they are read
    std::vector<DenseStep> steps_;
    std::vector<std::unique_ptr<Batches>> batches_; // null where there are none
    std::vector<Struck> struck_;
    std::vector<Rows> rows_; // that leave each block
    std::size_t first_block_ = 0;
    std::size_t joined_ = 0; // a pooling done with the convolution before it, 0: none

    // Of the chunk and the block at hand.
    std::vector<std::int32_t> touched_, slots_, values_, order_, deltas_;
    Bytes touch_, zeros_;
    std::vector<Use> all_uses_;
    std::vector<Flip> all_votes_, all_flips_;
    const Use *use_ = nullptr, *use_end_ = nullptr;
    const StruckAdder *adder_ = nullptr, *adder_end_ = nullptr;
    const Flip *vote_ = nullptr, *vote_end_ = nullptr, *flip_ = nullptr, *flip_end_ = nullptr;

    std::vector<Job> jobs_;
    Lines<std::int32_t> sums_, more_sums_; // of the jobs
    std::vector<int> full_;                // jobs whose sums are added up from the beginning
    std::vector<const std::uint8_t *> pointers_;
    Bytes gathered_, columns_, flags_;
    std::vector<std::int32_t> places_, neurons_;
    SomeNeurons some_{};
    Lines<std::int8_t> some_packed_;
    std::vector<std::uint8_t> changed_pixels_;
    std::vector<Int> masks_;
    Striker striker_;
    std::vector<Fault> drawn_;
    std::vector<Decoded> decoded_;
    Outcome outcome_;
};

} // namespace codesign::engine

#endif
