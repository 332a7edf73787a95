package pam

// PAM's modules ask libpam to delay the answer to a wrong password, by
// pam_fail_delay(3), and it does so within pam_authenticate. The linker has them
// find this function of the program's first. smaild has a delay of its own, the same
// for every reason, and while it waits another's password can be checked.

/*
#include <security/pam_appl.h>

__attribute__((visibility("default"), used))
int pam_fail_delay(pam_handle_t *pamh, unsigned int usec)
{
	(void)pamh;
	(void)usec;
	return PAM_SUCCESS;
}
*/
import "C"
