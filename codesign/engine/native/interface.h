/* The C interface of the engine, which codesign/engine/binding.py calls. Functions that return int give 0, or 1 with a
 * text in `error`. All arrays are C-contiguous; 64-bit integers unless said otherwise. */
#ifndef CODESIGN_ENGINE_INTERFACE_H_
#define CODESIGN_ENGINE_INTERFACE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CODESIGN_ENGINE_VERSION 3

typedef struct codesign_engine codesign_engine;

typedef struct {
    char *text;
    size_t size;
} codesign_error;

/* Numbers of samples of one trial; codesign/engine/counts.py says what they are. */
typedef struct {
    int32_t correct, sdc1, sdc5, detected, corrected, silent;
} codesign_counts;

typedef struct {
    const int64_t *space; /* the fault space to draw from, or null: then lists are given */
    size_t n_space;
    const int32_t *faults;  /* eight integers each */
    const int64_t *offsets; /* n_trials + 1 */
    int64_t first_trial;
    int64_t n_trials;
    const int64_t *labels; /* one a sample */
    int32_t threads;
    codesign_counts *counts; /* one a trial */
    int64_t *logits;         /* (n_trials, n_samples, n_out), or null */
    uint8_t *finished;       /* one a trial */
    int64_t *done;           /* counted up while the campaign runs */
    const int32_t *cancel;   /* not zero: stop after the trials at hand */
} codesign_campaign;

int32_t codesign_engine_version(void);

/* `kernels` caps what is used: 0 the generic simulator, 1 plain, 2 AVX2, 3 AVX-512 VNNI; the processor decides below.
 */
codesign_engine *codesign_engine_open(const int64_t *description, size_t n_words, const int64_t *inputs,
                                      int64_t n_samples, int32_t kernels, codesign_error error);
void codesign_engine_close(codesign_engine *engine);

/* What the engine computes with, by the numbers of `kernels` above. */
int32_t codesign_engine_kernels(const codesign_engine *engine);

void codesign_engine_golden(const codesign_engine *engine, int64_t *logits);
/* `flags` (n_samples,): 1 where a layer raised `corrected`, plus 2 where one raised `detected`. */
int codesign_engine_run(const codesign_engine *engine, const int32_t *faults, size_t n_faults, int64_t *logits,
                        uint8_t *flags, codesign_error error);
int codesign_engine_campaign(const codesign_engine *engine, const codesign_campaign *campaign, codesign_error error);

/* The faults of one trial; null with a text in `error`. To be given back to codesign_engine_free. */
int32_t *codesign_engine_draw(const int64_t *space, size_t n_space, int64_t trial, size_t *n_faults,
                              codesign_error error);
void codesign_engine_free(int32_t *faults);

/* A netlist as tables and registers; circuit.h says how its values are numbered. Bit s of word w of a wave is sample
 * 64 w + s; words are padded to a multiple of four. */
typedef struct codesign_circuit codesign_circuit;

typedef struct {
    int64_t n_sources, n_registers, n_values, n_cycles, n_samples;
    const int32_t *data;     /* (n_registers,): what each takes at the end of a cycle */
    const uint8_t *initial;  /* (n_registers,) */
    const uint64_t *tables;  /* one for each value behind the registers: bit k is the output for inputs of number k */
    const int32_t *n_inputs; /* of each table, 1 to 6 */
    const int32_t *inputs;   /* (n_tables, 6), the lowest first */
    const int32_t *entering; /* (n_entering,): sources that change */
    int64_t n_entering;
    const uint64_t *waves;  /* (n_cycles, n_entering, n_words) */
    const int32_t *outputs; /* (n_out, width), lowest bit first: words as they are in the last cycle */
    int64_t n_out, width, is_signed;
    int32_t ready;             /* the value that announces them */
    const int32_t *flags;      /* (n_flags,): values that tell of an upset in the last cycle */
    const uint8_t *flag_kinds; /* 1 corrected, 2 detected */
    int64_t n_flags;
} codesign_circuit_description;

/* An upset: an entry of a table, in all samples, or with `bit` -1 a value in one cycle of one sample. */
typedef struct {
    int32_t value, bit, cycle, sample;
} codesign_upset;

/* Numbers of samples of one trial; codesign/engine/circuit.py says what they are. */
typedef struct {
    int32_t correct, sdc1, sdc5, detected, corrected, silent, changed, flagged, lost;
} codesign_upset_counts;

typedef struct {
    const codesign_upset *upsets;
    const int64_t *offsets; /* n_trials + 1 */
    int64_t n_trials;
    const int64_t *labels; /* one a sample */
    int32_t threads;
    codesign_upset_counts *counts; /* one a trial */
    uint8_t *finished;             /* one a trial */
    int64_t *done;                 /* as in codesign_campaign */
    const int32_t *cancel;
} codesign_upset_trials;

codesign_circuit *codesign_circuit_open(const codesign_circuit_description *description, codesign_error error);
void codesign_circuit_close(codesign_circuit *circuit);
/* The words of the fault-free run (n_samples, n_out), and of each sample 1 where `ready` announces them plus 2 where a
 * flag is raised. */
void codesign_circuit_golden(const codesign_circuit *circuit, int64_t *words, uint8_t *state);
int codesign_circuit_run(const codesign_circuit *circuit, const codesign_upset_trials *trials, codesign_error error);

#ifdef __cplusplus
}
#endif

#endif
