// Memory of nghttp2: it allocates four small pieces for each request, which are kept per thread and size and
// used again. Private to this folder.
#ifndef PILLION_SIDECAR_HTTP2_LIBRARY_MEMORY_H_
#define PILLION_SIDECAR_HTTP2_LIBRARY_MEMORY_H_

#include <nghttp2/nghttp2.h>

namespace pillion::http2 {

// For nghttp2_session_*_new3. Null, the library's own choice, where each end of life must be seen
// (sanitizers).
nghttp2_mem* LibraryMemory();

}  // namespace pillion::http2

#endif  // PILLION_SIDECAR_HTTP2_LIBRARY_MEMORY_H_
