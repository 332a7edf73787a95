package login

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// What a monitor says to the listener that has started it, a byte each: that it is
// ready for a connection, or has begun without getting ready, and that somebody has
// logged in.
const (
	Ready    = 0
	LoggedIn = 1
)

// SendConn sends text on the stream socket fd, and with its first bytes a
// descriptor, as unix(7) describes (SCM_RIGHTS).
func SendConn(fd, conn int, text []byte) error {
	n, err := unix.SendmsgN(fd, text, unix.UnixRights(conn), nil, unix.MSG_NOSIGNAL)
	for err == nil && n < len(text) {
		text = text[n:]
		n, err = unix.SendmsgN(fd, text, nil, nil, unix.MSG_NOSIGNAL)
	}
	return os.NewSyscallError("sendmsg", err)
}

// ReceiveConn receives a descriptor and what was sent with it, at most limit
// bytes, until the other end closes. io.EOF says that it closed at once.
func ReceiveConn(fd, limit int) (conn int, text []byte, err error) {
	text = make([]byte, 16<<10)
	oob := make([]byte, unix.CmsgSpace(4))
	var n, oobn int
	for {
		n, oobn, _, _, err = unix.Recvmsg(fd, text, oob, unix.MSG_CMSG_CLOEXEC)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		return -1, nil, os.NewSyscallError("recvmsg", err)
	}
	if n == 0 {
		return -1, nil, io.EOF
	}
	if conn, err = theRight(oob[:oobn]); err != nil {
		return -1, nil, err
	}
	text = text[:n]
	for len(text) <= limit {
		var more [16 << 10]byte
		n, err := syscall.Read(fd, more[:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			syscall.Close(conn)
			return -1, nil, os.NewSyscallError("read", err)
		}
		if n == 0 {
			return conn, text, nil
		}
		text = append(text, more[:n]...)
	}
	syscall.Close(conn)
	return -1, nil, fmt.Errorf("more than %d bytes came with the connection", limit)
}

// theRight returns the one descriptor of a control message.
func theRight(oob []byte) (int, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) != 1 {
		return -1, errors.New("no connection was sent")
	}
	rights, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(rights) != 1 {
		return -1, errors.New("not one connection was sent")
	}
	return rights[0], nil
}
