// What the kernels need of hls4ml's header.
#define PRAGMA_DATA_PACK(variable)
