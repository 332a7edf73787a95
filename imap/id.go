package imap

// maxIDFields and its limits on strings are RFC 2971 section 3.3's.
const maxIDFields = 30

// ID takes the parameters of an ID command and its end: NIL, or a list of
// field names and values. With a nil map it only checks them.
func (d *Decoder) ID(fields map[string]string) error {
	if !d.SP() {
		return d.err
	}
	if !d.Next('(') {
		var nilWord string
		if !d.Keyword(&nilWord) || !d.CRLF() {
			return d.err
		}
		return nil
	}
	n := 0
	ok := d.List(func() bool {
		var key, value string
		if !d.String(&key) || !d.SP() {
			return false
		}
		if d.Next('"') || d.Next('{') {
			if !d.String(&value) {
				return false
			}
		} else if !d.Keyword(&value) { // NIL
			return false
		} else {
			value = ""
		}
		if n++; n > maxIDFields || len(key) > 30 || len(value) > 1024 {
			return d.fail(Bad("Too much in an ID"))
		}
		if fields != nil {
			fields[key] = value
		}
		return true
	})
	if !ok || !d.CRLF() {
		return d.err
	}
	return nil
}
