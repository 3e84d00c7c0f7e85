package dashboard

// Routes returns the patterns of all routes of who is signed in.
func Routes(d *Dashboard) []string {
	var patterns []string
	for _, r := range d.routes {
		patterns = append(patterns, r.pattern)
	}
	return patterns
}

// FormOf returns what forms of a session carry, even of one that gets none.
func FormOf(d *Dashboard, cookie string) string {
	tokens, err := d.store.Tokens(d.stopping)
	if err != nil {
		panic(err)
	}
	s, err := openSession(tokens, cookie, d.now())
	if err != nil {
		panic(err)
	}
	return s.form()
}
