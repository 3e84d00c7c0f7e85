package devserver

import (
	"bytes"
	"fmt"
	"html"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// nameWidth is how many characters of a name nginx shows in a listing.
const nameWidth = 50

// entry is a line of a listing.
type entry struct {
	name     string
	dir      bool
	size     int64 // bytes, of a file
	modified time.Time
}

// listing returns the page that nginx's autoindex would make for the folder at
// the URL path dir (which ends in "/"). Its links are all that a crawling board
// looks at: relative, escaped, "/" at the end of a folder's, and no others.
func listing(dir string, entries []entry) []byte {
	var b bytes.Buffer
	title := html.EscapeString(dir)
	fmt.Fprintf(&b, "<html>\r\n<head><title>Index of %s</title></head>\r\n<body>\r\n", title)
	fmt.Fprintf(&b, "<h1>Index of %s</h1><hr><pre><a href=\"../\">../</a>\r\n", title)
	for _, e := range entries {
		name, size := e.name, "-"
		if e.dir {
			name += "/"
		} else {
			size = fmt.Sprint(e.size)
		}
		shown := name
		if utf8.RuneCountInString(name) > nameWidth {
			shown = string([]rune(name)[:nameWidth-3]) + "..>"
		}
		fmt.Fprintf(&b, "<a href=\"%s\">%s</a>%s %s %19s\r\n",
			hrefOf(e), html.EscapeString(shown),
			strings.Repeat(" ", nameWidth-utf8.RuneCountInString(shown)),
			e.modified.UTC().Format("02-Jan-2006 15:04"), size)
	}
	b.WriteString("</pre><hr></body>\r\n</html>\r\n")
	return b.Bytes()
}

// hrefOf escapes a name for use as a relative link. More is escaped than a path
// needs: HTML gives "&" a meaning, and what stands before ":" looks like a scheme.
func hrefOf(e entry) string {
	escaped := strings.NewReplacer("&", "%26", ":", "%3A").Replace(url.PathEscape(e.name))
	if e.dir {
		escaped += "/"
	}
	return escaped
}
