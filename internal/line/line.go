// Package line reads the lines of POP3 and SMTP.
package line

import (
	"bufio"
	"errors"
	"strings"
)

// ErrLong ends a connection: what follows cannot be told from a command.
var ErrLong = errors.New("line too long")

// Read reads a line of at most so many bytes, and returns it without its end.
func Read(r *bufio.Reader, most int) (string, error) {
	var line []byte
	for {
		chunk, err := r.ReadSlice('\n')
		if line = append(line, chunk...); len(line) > most {
			return "", ErrLong
		}
		if err == nil {
			return strings.TrimRight(string(line), "\r\n"), nil
		}
		if err != bufio.ErrBufferFull {
			return "", err
		}
	}
}
