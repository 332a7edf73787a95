// Package pop3d is the POP3 session: RFC 1939 in its TRANSACTION and UPDATE
// states, over the user's INBOX. It runs as that user.
//
// What the client sees is a snapshot taken at login; deletions happen at QUIT
// and only there. IMAP sessions may go on meanwhile: a message that they
// remove is told as gone when it is asked for.
package pop3d

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"syscall"

	"smail/logline"
	"smail/maildir"
	"smail/pop3"
)

// Options are what a session is told.
type Options struct {
	Store *maildir.Store
	UIDL  string // form of unique ids: see pop3_uidl in smail.conf

	Interrupted error         // what reading returns when the session is to end
	Ending      func() string // why it is; nil: it never is
}

type session struct {
	Options
	r      *bufio.Reader
	w      *bufio.Writer
	box    *maildir.Folder
	places []int             // of the messages, in the order of their numbers
	doomed []bool            // by number, from 0
	read   map[int]bool      // those sent whole since RSET
	sizes  map[int]int64     // that were counted here, by place
	ids    map[uint32]string // by UID, where the server before had its own
	ahead  ahead
	copied []byte // what messages are copied through
	count  struct{ retr, top, dele int }
}

const bufferBytes = 32 << 10

// flushingReader writes what is gathered before it waits for the client:
// PIPELINING, RFC 2449 section 6.6.
type flushingReader struct {
	s    *session
	conn io.Reader
}

func (r flushingReader) Read(p []byte) (int, error) {
	if err := r.s.w.Flush(); err != nil {
		return 0, err
	}
	n, err := r.conn.Read(p)
	if err != nil && err == r.s.Interrupted {
		err = errEnding
	}
	return n, err
}

// Serve speaks with a client until it leaves, and returns what was done. A nil
// error means that the client said QUIT.
func Serve(conn io.ReadWriter, o Options) (did []string, err error) {
	s := &session{Options: o, ahead: ahead{i: -1}, sizes: map[int]int64{}, read: map[int]bool{}, w: bufio.NewWriterSize(conn, bufferBytes)}
	s.r = bufio.NewReaderSize(flushingReader{s, conn}, 4<<10)
	defer s.w.Flush()
	if err := maildir.Guard(s.open); err != nil {
		Refuse(s.w, err)
		return nil, err
	}
	defer s.box.Close()
	s.ok("%d messages", len(s.doomed))
	for err == nil {
		var line string
		if line, err = pop3.ReadLine(s.r); err == nil {
			err = maildir.Guard(func() error { return s.execute(pop3.Parse(line)) })
		}
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.fail("Idle for too long")
	case err == errEnding:
		s.fail(pop3.CodeSysTemp + s.Ending())
		err = errors.New(s.Ending())
	case err == pop3.ErrLongLine:
		s.fail("Line too long")
	case err == errQuit:
		err = nil
	}
	return []string{"retr", fmt.Sprint(s.count.retr), "top", fmt.Sprint(s.count.top), "dele", fmt.Sprint(s.count.dele)}, err
}

// Refuse tells a client that has logged in that its mailbox cannot be opened:
// RFC 3206, and RFC 2449 section 8.1.
func Refuse(w io.Writer, err error) {
	code := pop3.CodeSysTemp
	for _, lasting := range []error{os.ErrPermission, syscall.ENOTDIR, syscall.ELOOP, syscall.EROFS} {
		if errors.Is(err, lasting) {
			code = pop3.CodeSysPerm
		}
	}
	if errors.Is(err, maildir.ErrLocked) {
		code = pop3.CodeInUse
	}
	io.WriteString(w, "-ERR "+code+"Your mailbox cannot be opened now\r\n")
}

var (
	errQuit   = errors.New("quit")
	errEnding = errors.New("ended by a signal")
)

func (s *session) open() (err error) {
	if s.box, err = s.Store.OpenFolder(maildir.Inbox, false); err != nil {
		return err
	}
	s.doomed, s.places = make([]bool, s.box.Len()), make([]int, s.box.Len())
	for i := range s.places {
		s.places[i] = i
	}
	ids, order, err := s.box.UIDLs()
	if err != nil {
		return err
	}
	s.ids = ids
	if len(order) > 0 { // as the server before listed them; what it did not is behind
		at := func(place int) int64 {
			if n, listed := order[s.box.Message(place).UID]; listed {
				return n
			}
			return math.MaxInt64
		}
		slices.SortStableFunc(s.places, func(a, b int) int { return cmp.Compare(at(a), at(b)) })
	}
	return nil
}

func (s *session) ok(format string, args ...any) error {
	fmt.Fprintf(s.w, "+OK "+format+"\r\n", args...)
	return nil
}

func (s *session) fail(text string) error {
	_, err := s.w.WriteString("-ERR " + text + "\r\n")
	return err
}

func (s *session) execute(c pop3.Command) error {
	args := c.Args()
	switch c.Name {
	case "STAT":
		return s.stat()
	case "LIST":
		if len(args) == 0 {
			s.measure()
		}
		return s.listing(args, func(i int) (string, error) {
			size, err := s.size(i)
			return strconv.FormatInt(size, 10), err
		})
	case "UIDL": // RFC 1939 section 7
		return s.listing(args, func(i int) (string, error) { return s.uidl(i), nil })
	case "RETR":
		return s.retrieve(args)
	case "TOP": // RFC 1939 section 7
		return s.top(args)
	case "DELE":
		return s.dele(args)
	case "RSET":
		clear(s.doomed)
		clear(s.read)
		return s.ok("Nothing is deleted")
	case "NOOP":
		return s.ok("")
	case "CAPA": // RFC 2449 section 5
		_, err := s.w.WriteString("+OK\r\n" + pop3.Capabilities + ".\r\n")
		return err
	case "LANG":
		_, err := s.w.WriteString(pop3.Lang(args))
		return err
	case "UTF8":
		return s.fail("Only before login")
	case "QUIT":
		return s.quit()
	}
	return s.fail("Unknown command")
}

// message finds the message that an argument names.
func (s *session) message(args []string, want int) (int, bool) {
	if len(args) != want {
		return 0, false
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 1 || n > len(s.doomed) || s.doomed[n-1] {
		return 0, false
	}
	return n - 1, true
}

func (s *session) stat() error {
	s.measure()
	count, octets := 0, int64(0)
	for i, doomed := range s.doomed {
		if doomed {
			continue
		}
		size, err := s.size(i)
		if err != nil {
			size = s.unknownSize(err)
		}
		count++
		octets += size
	}
	return s.ok("%d %d", count, octets)
}

// listing answers LIST and UIDL, for one message or for all.
func (s *session) listing(args []string, value func(int) (string, error)) error {
	if len(args) > 0 {
		i, ok := s.message(args, 1)
		if !ok {
			return s.fail("No such message")
		}
		v, err := value(i)
		if err != nil {
			return s.broken(err)
		}
		return s.ok("%d %s", i+1, v)
	}
	s.ok("")
	for i, doomed := range s.doomed {
		if doomed {
			continue
		}
		v, err := value(i)
		if err != nil {
			v = strconv.FormatInt(s.unknownSize(err), 10)
		}
		s.w.WriteString(strconv.Itoa(i+1) + " " + v + "\r\n")
	}
	_, err := s.w.WriteString(".\r\n")
	return err
}

// unknownSize is that of a message that is gone or cannot be read, such as another
// user's file. Its number stays (RFC 1939 section 5), so that all others are to be had.
func (s *session) unknownSize(err error) int64 {
	if !errors.Is(err, maildir.ErrGone) {
		logline.Error("message not read", "reason", err.Error())
	}
	return 0
}

// broken answers a command whose message cannot be read.
func (s *session) broken(err error) error {
	if errors.Is(err, maildir.ErrGone) {
		return s.fail("Message is gone")
	}
	logline.Error("command failed", "reason", err.Error())
	return s.fail(pop3.CodeSysTemp + "Internal error")
}

func (s *session) retrieve(args []string) error {
	i, ok := s.message(args, 1)
	if !ok {
		return s.fail("No such message")
	}
	defer s.readAhead(i + 1)
	if s.ahead.i == i {
		s.count.retr++
		s.read[i] = true
		_, err := s.w.Write(s.ahead.reply.Bytes())
		return err
	}
	f, _, err := s.box.OpenMessage(s.places[i])
	if err != nil {
		return s.broken(err)
	}
	defer f.Close()
	s.count.retr++
	s.read[i] = true
	return s.writeMessage(s.w, f)
}

func (s *session) top(args []string) error {
	i, ok := s.message(args, 2)
	if !ok {
		return s.fail("No such message")
	}
	lines, err := strconv.Atoi(args[1])
	if err != nil || lines < 0 {
		return s.fail("Not a number of lines")
	}
	f, _, err := s.box.OpenMessage(s.places[i])
	if err != nil {
		return s.broken(err)
	}
	defer f.Close()
	s.count.top++
	s.ok("Top of message follows")
	d := pop3.NewDotWriter(s.w)
	if err := copyTop(d, bufio.NewReaderSize(f, 16<<10), lines); err != nil {
		return err
	}
	return d.Close()
}

// copyTop copies the header, the empty line and a number of lines.
func copyTop(w io.Writer, r *bufio.Reader, lines int) error {
	inBody, whole := false, true
	for {
		piece, err := r.ReadSlice('\n')
		if inBody && whole {
			if lines == 0 {
				return nil
			}
			lines--
		}
		if _, werr := w.Write(piece); werr != nil {
			return werr
		}
		if whole && len(piece) <= 2 && len(piece) > 0 && piece[len(piece)-1] == '\n' && (len(piece) == 1 || piece[0] == '\r') {
			inBody = true
		}
		whole = err == nil
		if err == io.EOF {
			return nil
		}
		if err != nil && err != bufio.ErrBufferFull {
			return err
		}
	}
}

func (s *session) dele(args []string) error {
	i, ok := s.message(args, 1)
	if !ok {
		return s.fail("No such message")
	}
	s.doomed[i] = true
	return s.ok("Deleted at QUIT")
}

// quit carries out the deletions: RFC 1939 section 6. What was read has been seen, for
// IMAP's clients, as with the servers before.
func (s *session) quit() error {
	var places, seen []int
	for i, doomed := range s.doomed {
		switch {
		case doomed:
			places = append(places, s.places[i])
		case s.read[i] && s.box.Message(s.places[i]).Flags&maildir.Seen == 0:
			seen = append(seen, s.places[i])
		}
	}
	if err := s.box.Expunge(places, nil); err != nil {
		logline.Error("command failed", "reason", err.Error())
		s.fail(pop3.CodeSysTemp + "Some messages were not deleted")
		return errQuit
	}
	s.count.dele = len(places)
	slices.Sort(seen)
	if err := s.box.SetFlags(seen, func(f maildir.Flags) maildir.Flags { return f | maildir.Seen }); err != nil {
		logline.Warn("\\Seen not set", "reason", err.Error())
	}
	s.ok("Goodbye")
	return errQuit
}
