// What tables give, and the words that values stand for.
#ifndef CODESIGN_ENGINE_CIRCUIT_VALUES_H_
#define CODESIGN_ENGINE_CIRCUIT_VALUES_H_

#include <vector>

#include "circuit.h"
#include "simulator.h"

namespace codesign::engine {

// A table's output, Shannon's expansion: the last input decides between the table's halves.
template <int K> inline Lanes looked_up(std::uint64_t bits, const Lanes *const *inputs, int chunk) {
    const Lanes input = inputs[K - 1][chunk];
    if constexpr (K == 1) {
        const Lanes low = Lanes{} - (bits & 1), high = Lanes{} - (bits >> 1 & 1);
        return low ^ ((low ^ high) & input);
    } else {
        const Lanes low = looked_up<K - 1>(bits, inputs, chunk);
        const Lanes high = looked_up<K - 1>(bits >> (1 << (K - 1)), inputs, chunk);
        return low ^ ((low ^ high) & input);
    }
}

template <int K> void look_up(std::uint64_t bits, const Lanes *const *inputs, int chunks, Lanes *result) {
    for (int chunk = 0; chunk < chunks; ++chunk)
        result[chunk] = looked_up<K>(bits, inputs, chunk);
}

inline void look_up(const Circuit::Table &table, const Lanes *const *inputs, int chunks, Lanes *result) {
    using Function = void (*)(std::uint64_t, const Lanes *const *, int, Lanes *);
    static constexpr Function OF[] = {look_up<1>, look_up<2>, look_up<3>, look_up<4>, look_up<5>, look_up<6>};
    OF[table.n_inputs - 1](table.bits, inputs, chunks, result);
}

// The words that a sample leaves, given what each bit's value is.
template <class Bit> std::vector<Int> words_of(const Circuit &circuit, Bit bit_of) {
    std::vector<Int> words;
    for (int k = 0; k < circuit.n_out; ++k) {
        const std::int32_t *values = circuit.outputs.data() + std::size_t(k) * std::size_t(circuit.width);
        Word word = 0;
        for (int bit = 0; bit < circuit.width; ++bit)
            word |= Word(bit_of(values[bit])) << bit;
        const Word sign = Word(circuit.is_signed) << (circuit.width - 1);
        words.push_back(Int((word ^ sign) - sign));
    }
    return words;
}

} // namespace codesign::engine

#endif
