package pam

/*
#include <malloc.h>

// The C library gives each thread memory of its own to allocate from: 128 MiB of
// address space that is cut to half of that, and then used for nothing, for PAM is
// asked on one thread. Go's runtime starts five in a process that lives for
// milliseconds.
#ifdef M_ARENA_MAX
__attribute__((constructor)) static void oneArena(void) { mallopt(M_ARENA_MAX, 1); }
#endif
*/
import "C"
