package sqlstore

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

var (
	// begin matches how a URL begins. One letter alone is a drive of Windows.
	begin = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+:`)
	// setting matches a part of what other programs take for a database of PostgreSQL.
	setting = regexp.MustCompile(`(?i)(^|\s)(host|hostaddr|port|dbname|user|password|passfile|service|sslmode)\s*=`)
)

// ErrWhere: what is given for a database is no URL of PostgreSQL, and is not taken for a
// file's name either.
var ErrWhere = errors.New("neither a URL postgres://USER@HOST/NAME nor the name of a file")

// CheckWhere reports whether where can be a database: see Open. So nobody who mistypes it
// gets an empty database in a file instead. The error is ErrWhere, and tells no password.
func CheckWhere(where string) error {
	if IsPostgres(where) || begin.FindString(where) == "" && !setting.MatchString(where) {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrWhere, Redacted(where))
}

// IsPostgres reports whether where is the URL of a PostgreSQL database.
func IsPostgres(where string) bool {
	scheme, _, ok := strings.Cut(where, "://")
	scheme = strings.ToLower(scheme)
	return ok && (scheme == "postgres" || scheme == "postgresql")
}

// hidden is what is shown in place of a password.
const hidden = "xxxxx"

// Redacted returns where without a password, for messages.
func Redacted(where string) string {
	scheme := begin.FindString(where)
	if scheme == "" {
		if setting.MatchString(where) {
			return "…" // in which a password can be written in many ways
		}
		return where
	}
	if !strings.HasPrefix(where[len(scheme):], "//") {
		return scheme + "…"
	}
	u, err := url.Parse(where)
	if err != nil {
		return scheme + "//…" // which may hold a password anywhere
	}
	parts := strings.Split(u.RawQuery, "&")
	for i, part := range parts {
		escaped, _, _ := strings.Cut(part, "=")
		if name, err := url.QueryUnescape(escaped); err != nil || strings.Contains(strings.ToLower(name), "pass") {
			parts[i] = escaped + "=" + hidden
		}
	}
	u.RawQuery, u.Fragment, u.RawFragment = strings.Join(parts, "&"), "", ""
	return u.Redacted()
}

// redactedError returns an error of the driver's without a password.
func redactedError(err error, where string) error {
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) {
		parse.ConnString = Redacted(where)
	}
	return err
}
