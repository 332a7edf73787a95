package imapd

import (
	"bufio"
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// A compressed is a client that has COMPRESS on.
type compressed struct {
	t *testing.T
	net.Conn
	w *flate.Writer
	r *bufio.Reader
}

func startCompressed(t *testing.T) (*compressed, <-chan error, string) {
	root := filepath.Join(t.TempDir(), "Maildir")
	conn, ended := start(t, root)
	r := bufio.NewReader(conn)
	r.ReadString('\n')
	fmt.Fprint(conn, "a COMPRESS DEFLATE\r\n")
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "a OK") {
		t.Fatalf("COMPRESS: %q, %v", line, err)
	}
	w, _ := flate.NewWriter(conn, 6)
	return &compressed{t, conn, w, bufio.NewReader(flate.NewReader(r))}, ended, root
}

func (c *compressed) send(text string) {
	io.WriteString(c.w, text)
	c.w.Flush()
}

// until reads lines to the first that begins so, and returns all.
func (c *compressed) until(prefix string) (all string) {
	c.t.Helper()
	for {
		line, err := c.r.ReadString('\n')
		if all += line; err != nil {
			c.t.Fatalf("%v after %q, want %q", err, all, prefix)
		}
		if strings.HasPrefix(line, prefix) {
			return all
		}
	}
}

// TestCompress: commands, literals, and news in IDLE.
func TestCompress(t *testing.T) {
	c, ended, root := startCompressed(t)
	c.send("b COMPRESS DEFLATE\r\n")
	c.until("b NO [COMPRESSIONACTIVE]")
	message := strings.Repeat("A line that comes again.\r\n", 300)
	c.send(fmt.Sprintf("c APPEND INBOX {%d+}\r\n%s\r\nd SELECT INBOX\r\n", len(message), message))
	c.until("d OK")
	c.send("e FETCH 1 BODY.PEEK[]\r\n")
	if all := c.until("e OK"); !strings.Contains(all, message) {
		t.Errorf("FETCH has not the message: %.100q", all)
	}
	for i := range 5 {
		c.send("f IDLE\r\n")
		c.until("+")
		deliver(t, root, i+1, "new")
		c.until(fmt.Sprintf("* %d EXISTS", i+2))
		c.send("DONE\r\n")
		c.until("f OK")
	}
	c.send("g LOGOUT\r\n")
	c.until("g OK")
	if err := <-ended; !errors.Is(err, errLogout) {
		t.Errorf("ended with %v", err)
	}
}

// TestCompressionBomb: what inflates to nothing but size ends the session.
func TestCompressionBomb(t *testing.T) {
	c, ended, _ := startCompressed(t)
	go func() {
		zeros := make([]byte, 1<<20)
		fmt.Fprintf(c.w, "b APPEND INBOX {9000+}\r\n")
		c.w.Write(make([]byte, 9000))
		for range 60 {
			if _, err := fmt.Fprintf(c.w, "\r\nc APPEND INBOX {%d+}\r\n", len(zeros)); err != nil {
				return
			}
			c.w.Write(zeros)
			if c.w.Flush() != nil {
				return
			}
		}
	}()
	if all := c.until("* BYE"); !bytes.Contains([]byte(all), []byte("Compressed too well")) {
		t.Errorf("got %.300q", all)
	}
	<-ended
}

// TestCompressedNonsense: what is no DEFLATE ends the session.
func TestCompressedNonsense(t *testing.T) {
	c, ended, _ := startCompressed(t)
	fmt.Fprint(c.Conn, "\xff\xff\xff\xffNOOP\r\n")
	c.until("* BYE What comes is not compressed")
	if err := <-ended; err == nil {
		t.Error("ended as if nothing were wrong")
	}
}
