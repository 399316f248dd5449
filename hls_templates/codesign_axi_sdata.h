// Stands for the vendor's ap_axi_sdata.h in simulation without the vendor's tools: what the wrapper uses of it.
#ifndef CODESIGN_AXI_SDATA_H_
#define CODESIGN_AXI_SDATA_H_

#include "ap_int.h"

template <int W, int USER, int ID, int DEST> struct ap_axiu {
    static_assert(USER == 0 && ID == 0 && DEST == 0, "a stream without user, id and destination");
    ap_uint<W> data;
    ap_uint<W / 8> keep, strb;
    ap_uint<1> last;
};

#endif
