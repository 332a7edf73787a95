package imap

// Capabilities are what the server can do before and after login: RFC 3501
// section 6.1.1. The manual smail-imap(8) says more of each.
const Capabilities = "IMAP4rev1 IMAP4rev2 LITERAL+ ID ENABLE IDLE NAMESPACE UIDPLUS UNSELECT MOVE SPECIAL-USE CHILDREN"
