package test

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// clientFolder has smailctl write the folder for users.
func clientFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	out, ok := smailctl(t, "hostname mail.a-rather-long-name.example.org\nlogin_domains example.org example.net\n", "clientconfig", "--out", dir)
	if !ok || strings.Count(out, dir) != 6 {
		t.Fatalf("clientconfig: %s", out)
	}
	return dir
}

// TestClientPage in a real browser, on a telephone and on a desk, light and
// dark: nothing to scroll sideways, headings in order, contrast, links.
func TestClientPage(t *testing.T) {
	chromium := need(t, "chromium", "chromium")
	dir := clientFolder(t)
	page := readFile(t, dir+"/index.html")
	for _, href := range regexp.MustCompile(`href="([^"#]+)"`).FindAllStringSubmatch(page, -1) {
		if !isFile(filepath.Join(dir, href[1])) {
			t.Errorf("link to %s, which is not there", href[1])
		}
	}
	looked := strings.Replace(page, "</body>", "<script>"+readFile(t, "testdata/page.js")+"</script></body>", 1)
	os.WriteFile(dir+"/looked.html", []byte(looked), 0o644)
	for _, width := range []int{320, 375, 1280} {
		frame := fmt.Sprintf(`<title></title><script>onmessage = e => document.title = e.data</script>
			<iframe src="looked.html" style="border:0;height:900px;width:%dpx"></iframe>`, width)
		os.WriteFile(dir+"/frame.html", []byte(frame), 0o644)
		for scheme, dark := range map[string]bool{"0": true, "1": false} {
			out, err := exec.Command(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
				"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+t.TempDir(),
				"--blink-settings=preferredColorScheme="+scheme, "--window-size=1400,900", "--virtual-time-budget=5000",
				"--dump-dom", (&url.URL{Scheme: "file", Path: dir + "/frame.html"}).String()).Output()
			if err != nil {
				t.Fatal(err)
			}
			title := regexp.MustCompile(`<title>([^<]*)</title>`).FindSubmatch(out)
			want := fmt.Sprintf(`^width=%d texts=[0-9]{2,} dark=%v wrong=\[\]$`, width, dark)
			if title == nil || !regexp.MustCompile(want).Match(title[1]) {
				t.Errorf("got %s, want %s", title, want)
			}
		}
	}
}

// autoconfig is what Thunderbird reads of config-v1.1.xml (its source:
// comm/mail/components/accountcreation, readFromXML).
type autoconfig struct {
	Version  string `xml:"version,attr"`
	Provider struct {
		ID       string             `xml:"id,attr"`
		Domains  []string           `xml:"domain"`
		Name     string             `xml:"displayName"`
		Incoming []autoconfigServer `xml:"incomingServer"`
		Outgoing []autoconfigServer `xml:"outgoingServer"`
	} `xml:"emailProvider"`
}

type autoconfigServer struct {
	Type     string `xml:"type,attr"`
	Hostname string `xml:"hostname"`
	Port     int    `xml:"port"`
	Socket   string `xml:"socketType"`
	Auth     string `xml:"authentication"`
	Username string `xml:"username"`
}

// TestThunderbirdReadsAutoconfig: the values are those that it knows.
func TestThunderbirdReadsAutoconfig(t *testing.T) {
	dir := clientFolder(t)
	var c autoconfig
	if err := xml.Unmarshal([]byte(readFile(t, dir+"/.well-known/autoconfig/mail/config-v1.1.xml")), &c); err != nil {
		t.Fatal(err)
	}
	if c.Version != "1.1" || c.Provider.ID != "example.org" || !slices.Equal(c.Provider.Domains, []string{"example.org", "example.net"}) || c.Provider.Name == "" {
		t.Errorf("provider %+v", c)
	}
	const host = "mail.a-rather-long-name.example.org"
	want := []autoconfigServer{
		{"imap", host, 993, "SSL", "password-cleartext", "%EMAILLOCALPART%"},
		{"pop3", host, 995, "SSL", "password-cleartext", "%EMAILLOCALPART%"},
		{"smtp", host, 465, "SSL", "password-cleartext", "%EMAILLOCALPART%"},
	}
	if got := append(c.Provider.Incoming, c.Provider.Outgoing...); !slices.Equal(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// TestOtherClientFiles are well-formed and say the same.
func TestOtherClientFiles(t *testing.T) {
	dir := clientFolder(t)
	for file, want := range map[string][]string{
		"autodiscover/autodiscover.xml": {"<Type>IMAP</Type>", "<Port>993</Port>", "<Port>995</Port>", "<Port>465</Port>", "outlook/responseschema/2006a"},
		"mail.mobileconfig":             {"<!DOCTYPE plist", "<integer>993</integer>", "<integer>465</integer>", "com.apple.mail.managed"},
	} {
		text := readFile(t, filepath.Join(dir, file))
		d := xml.NewDecoder(strings.NewReader(text))
		for {
			if token, err := d.Token(); token == nil {
				if err.Error() != "EOF" {
					t.Errorf("%s: %v", file, err)
				}
				break
			}
		}
		for _, w := range append(want, "mail.a-rather-long-name.example.org") {
			if !strings.Contains(text, w) {
				t.Errorf("%s: no %q in\n%s", file, w, text)
			}
		}
	}
	records := readFile(t, dir+"/dns.txt")
	for _, want := range []string{
		"_imaps._tcp.example.net.        SRV  0 1 993 mail.a-rather-long-name.example.org.\n",
		"_submissions._tcp.example.org.  SRV  0 1 465 mail.a-rather-long-name.example.org.\n",
	} {
		if !strings.Contains(records, want) {
			t.Errorf("no %q in\n%s", want, records)
		}
	}
	foreign := t.TempDir()
	os.WriteFile(foreign+"/index.html", []byte("the site of the host"), 0o644)
	if out, ok := smailctl(t, "hostname mail.example.org\n", "clientconfig", "-out", foreign); ok || readFile(t, foreign+"/index.html") != "the site of the host" {
		t.Errorf("wrote over another's page: %s", out)
	}
	if out, ok := smailctl(t, "hostname mail.example.org\n", "clientconfig", "-out", dir); !ok {
		t.Errorf("does not write over its own: %s", out)
	}
	out, _ := smailctl(t, "hostname mail.example.org\n", "clientconfig")
	if !strings.Contains(out, "mail.example.org is not in login_domains") {
		t.Errorf("does not warn of whole addresses: %s", out)
	}
}
