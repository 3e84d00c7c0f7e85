package main

import (
	"bytes"
	_ "embed"
	"html/template"

	"github.com/cactuscon/saguarota/rehearse"
)

//go:embed rehearse.html
var rehearsePage string

// htmlReport is the report as a page that needs nothing else.
func htmlReport(f *rehearsed) ([]byte, error) {
	page, err := template.New("report").Funcs(template.FuncMap{
		"strips": strips, "rows": rows, "verdict": verdict, "where": where, "bytes": bytesText, "plural": plural,
		"letter": func(c rehearse.Cut) string { return string(letter(c)) },
		"harmed": func(r *rehearse.Report) (list []rehearse.Cut) {
			for _, c := range r.Cuts {
				if c.Outcome >= rehearse.Mixed {
					list = append(list, c)
				}
			}
			return list
		},
	}).Parse(rehearsePage)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := page.Execute(&b, f); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
