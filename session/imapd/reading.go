package imapd

import (
	"bytes"
	"io"
	"time"

	goimap "github.com/emersion/go-imap/v2"

	"smail/imap"
	"smail/internal/pages"
	"smail/maildir"
	"smail/message"
)

// A reading is one message while it is fetched: opened, read and parsed once,
// and no more of it than is asked for.
type reading struct {
	s      *session
	box    *mailbox
	place  int
	m      maildir.Message
	mem    *memory
	file   *maildir.File
	whole  []byte // the file, if it is small
	date   time.Time
	header message.Header
	part   *message.Part
	known  known
	asked  bool     // the cache was
	fields []string // that are asked for by name

	ahead  *ahead  // nil: the mailbox may be used
	stored *stored // what a search has asked the folder; nil: nothing yet
}

// A memory is what readings use one after another.
type memory struct {
	buf    []byte // for messages that are read whole
	text   []byte // one of them with CRLF line ends
	header []byte // for headers that are read alone
	entry  []byte // what the cache has of the message in hand
	made   []byte // what it will have
	fields []byte // what is sent of a header
	set    fieldSet
}

// smallMessage is read into memory whole.
const smallMessage = 256 << 10

// smallHeader is how much memory for headers a session keeps.
const smallHeader = 64 << 10

func (s *session) read(box *mailbox, place int) reading {
	return reading{s: s, box: box, place: place, m: box.Message(place), mem: &s.mem}
}

func (r *reading) close() {
	if r.known.dirty {
		r.box.LearnEntry(r.place, r.known.entry())
		r.mem.made = r.known.made
	}
	if r.file != nil {
		r.file.Close()
	}
}

// learnSize remembers a size that was counted.
func (r *reading) learnSize() {
	if r.ahead != nil {
		r.ahead.measured = true
		return
	}
	r.box.Learn(r.place, r.m.CRLF)
}

// prepare reads what the items need, so that nothing is promised to the client
// of a message that has gone.
func (r *reading) prepare(items *imap.FetchItems) (err error) {
	if items.InternalDate && r.ahead == nil {
		if r.date, err = r.box.Date(r.place); err != nil {
			return err
		}
	}
	if items.Size && r.m.CRLF < 0 {
		if err := r.measure(); err != nil {
			return err
		}
	}
	if items.Body && !r.knows(kindBody) || items.BodyStructure && !r.knows(kindStructure) {
		if err := r.parse(); err != nil {
			return err
		}
		r.known.learnStructure(r.part, items.BodyStructure, items.Body)
	}
	if items.Envelope && !r.knows(kindEnvelope) {
		if err := r.envelope(); err != nil {
			return err
		}
	}
	if items.Preview && !(items.Lazy && !r.knows(kindPreview)) {
		if err := r.preview(); err != nil {
			return err
		}
	}
	for i := range items.Sections {
		if err := r.prepareSection(&items.Sections[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) prepareSection(section *imap.Section) error {
	switch {
	case section.Kind != imap.BodySection:
		if err := r.parse(); err != nil {
			return err
		}
		return r.decodable(section)
	case len(section.Part) > 0 || section.Specifier == goimap.PartSpecifierText:
		return r.parse()
	case section.Specifier == goimap.PartSpecifierHeader:
		if section.HeaderFields != nil {
			return r.keepFields(section.HeaderFields)
		}
		return r.readHeader()
	}
	if err := r.load(); err != nil || r.whole != nil || r.m.CRLF >= 0 && r.measured() {
		return err
	}
	return r.measure()
}

// measured says whether CRLF was counted or only read from the file's name,
// which another program may have written wrongly.
func (r *reading) measured() bool { return r.part != nil }

// open opens the message.
func (r *reading) open() (err error) {
	switch {
	case r.file != nil:
	case r.ahead == nil:
		r.file, r.m.Size, err = r.box.OpenMessage(r.place)
	case r.ahead.closed:
		err = errClosed
	default:
		r.file, r.m.Size, err = r.ahead.ticket.Open()
	}
	return err
}

// load opens the message, and reads it if it is small.
func (r *reading) load() (err error) {
	if err := r.open(); err != nil || r.whole != nil || r.m.Size > smallMessage {
		return err
	}
	if int64(cap(r.mem.buf)) < r.m.Size+1 {
		r.mem.buf = pages.Room[byte](int(r.m.Size + r.m.Size/4 + 1))
	}
	n, err := r.file.ReadAt(r.mem.buf[:r.m.Size], 0)
	if err != nil && err != io.EOF {
		return err
	}
	r.whole = r.mem.buf[:n]
	return nil
}

// reader reads the file from its beginning.
func (r *reading) reader() io.Reader {
	if r.whole != nil {
		return bytes.NewReader(r.whole)
	}
	return io.NewSectionReader(r.file, 0, 1<<62)
}

func (r *reading) readerAt() io.ReaderAt {
	if r.whole != nil {
		return bytes.NewReader(r.whole)
	}
	return r.file
}

func (r *reading) measure() (err error) {
	if err = r.load(); err == nil {
		r.m.CRLF, err = message.CRLFSize(r.reader())
	}
	if err == nil {
		r.learnSize()
	}
	return err
}

func (r *reading) parse() (err error) {
	if r.part != nil {
		return nil
	}
	if err = r.load(); err != nil {
		return err
	}
	if r.whole != nil {
		r.part = message.ParseBytes(r.whole)
	} else if r.part, err = message.Parse(r.reader()); err != nil {
		return err
	}
	r.header, r.m.CRLF = r.part.Header, r.part.Size()
	r.learnSize()
	return nil
}

func (r *reading) readHeader() (err error) {
	if r.header != nil {
		return nil
	}
	if err = r.open(); err == nil {
		r.header, err = message.ReadHeader(r.reader(), r.mem.header[:0])
	}
	if err == nil && cap(r.header) <= smallHeader {
		r.mem.header = r.header
	}
	return err
}

// keepFields reads header fields, for good.
func (r *reading) keepFields(names []string) error {
	if r.knowsFields(names) {
		return nil
	}
	if err := r.readHeader(); err != nil {
		return err
	}
	r.fields = append(r.fields, names...)
	r.known.learnFields(r.header, r.fields)
	return nil
}

// ask takes what the cache has of the message.
func (r *reading) ask() {
	if !r.asked {
		r.asked = true
		// A copy, for the folder's own is valid only for a moment.
		r.mem.entry = append(r.mem.entry[:0], r.box.Entry(r.place)...)
		r.known.parse(r.mem.entry)
		r.known.made = r.mem.made[:0]
	}
}

// knows says whether a part is known without opening the message.
func (r *reading) knows(kind int) bool {
	r.ask()
	return r.known.parts[kind] != nil
}

func (r *reading) knowsFields(names []string) bool {
	r.ask()
	return r.known.hasFields(r.mem.fieldSet(names))
}

// headerWith returns the header, or as much of it as is known and has the
// fields named, in lower case.
func (r *reading) headerWith(names ...string) (message.Header, error) {
	if err := r.keepFields(names); err != nil {
		return nil, err
	}
	if r.header != nil {
		return r.header, nil
	}
	return r.known.narrow(r.mem.fieldSet(names)), nil
}

// envelope makes the ENVELOPE, of the fields that are kept if all it needs is.
func (r *reading) envelope() error {
	header := r.header
	if header == nil && r.knowsFields(nil) { // commonFields have all that is needed
		header = message.Header(r.known.parts[kindHeader])
	} else if err := r.readHeader(); err != nil {
		return err
	} else {
		header = r.header
	}
	r.known.learnEnvelope(header)
	return nil
}
