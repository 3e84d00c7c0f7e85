package devserver

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// originalHref is how the original library finds links.
var originalHref = regexp.MustCompile(`href="([^"]+)"`)

func hrefs(page string) []string {
	var list []string
	for _, m := range originalHref.FindAllStringSubmatch(page, -1) {
		list = append(list, m[1])
	}
	return list
}

func TestListingLooksLikeNginx(t *testing.T) {
	when := time.Date(2026, 3, 9, 8, 5, 59, 0, time.FixedZone("", 3600))
	got := string(listing("/ota/", []entry{
		{name: "lib", dir: true, modified: when},
		{name: "main.py", size: 1234, modified: when},
		{name: strings.Repeat("ä", 60) + ".py", size: 5, modified: when},
	}))
	want := strings.ReplaceAll(`<html>
<head><title>Index of /ota/</title></head>
<body>
<h1>Index of /ota/</h1><hr><pre><a href="../">../</a>
<a href="lib/">lib/</a>                                               09-Mar-2026 07:05                   -
<a href="main.py">main.py</a>                                            09-Mar-2026 07:05                1234
<a href="`+strings.Repeat("%C3%A4", 60)+`.py">`+strings.Repeat("ä", 47)+`..></a> 09-Mar-2026 07:05                   5
</pre><hr></body>
</html>
`, "\n", "\r\n")
	want = strings.ReplaceAll(want, "..></a>", "..&gt;</a>")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Every name survives the way through the page: what a crawler finds is one
// link, which leads back to the name and to nothing else.
func TestListingLinksLeadBack(t *testing.T) {
	for _, name := range []string{
		"main.py", "a b.py", "100%.py", "a?b.py", "a#b.py", "a&b.py", `a"b.py`, "a'b.py", "<b>.py",
		"http:x.py", "..py", "...", "é.py", "日本.py", "a+b.py", "a;b=c,d.py", "&amp;.py", "%2e%2e", "a|b.py", "~.py",
	} {
		for _, dir := range []bool{false, true} {
			page := string(listing("/ota/", []entry{{name: name, dir: dir}}))
			links := hrefs(page)
			if len(links) != 2 || links[0] != "../" {
				t.Fatalf("%s: links %q", name, links)
			}
			link := links[1]
			base := &url.URL{Scheme: "http", Host: "h", Path: "/ota/"}
			target, err := base.Parse(html.UnescapeString(link))
			want := "/ota/" + name
			if dir {
				want += "/"
			}
			if err != nil || target.Host != "h" || target.Path != want || target.RawQuery != "" || target.Fragment != "" {
				t.Errorf("%s: the link %q leads to %v, %v", name, link, target, err)
			}
			// What the original skips as no file's name.
			if strings.ContainsAny(link, "?#") || strings.HasPrefix(link, "../") || strings.HasSuffix(link, "/") != dir {
				t.Errorf("%s: the original library would not take the link %q", name, link)
			}
		}
	}
}
