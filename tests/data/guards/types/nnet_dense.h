// The kernels need nothing of hls4ml's header but its name.
