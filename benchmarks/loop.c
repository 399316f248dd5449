/* Calls hls4ml's bridge function for every sample, without Python in between. */
void loop(void (*top)(double *, double *), double *inputs, long n_samples, long n_in, double *outputs, long n_out) {
    for (long i = 0; i < n_samples; i++)
        top(inputs + i * n_in, outputs + i * n_out);
}
