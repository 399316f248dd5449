// Streams are not what the guards' test is about.
#ifndef PLAIN_HLS_STREAM_H_
#define PLAIN_HLS_STREAM_H_

namespace hls {
template <class T> struct stream;
}

#endif
