package fleet_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

func TestBoardToken(t *testing.T) {
	e := fleet.Enrolment{Secret: []byte(strings.Repeat("s", 32))}
	token := e.BoardToken("badge", "b1")
	// Boards out there have it: it must stay.
	if want := "sgb_voOz7eXGJVy0xOtKAXKoALSf126qVAB0"; token != want {
		t.Errorf("the token is %q, want %q", token, want)
	}
	if err := e.CheckBoardToken("badge", "b1", token); err != nil {
		t.Error(err)
	}
	other := fleet.Enrolment{Secret: []byte(strings.Repeat("S", 32))}
	for name, err := range map[string]error{
		"none":          e.CheckBoardToken("badge", "b1", ""),
		"longer":        e.CheckBoardToken("badge", "b1", token+"A"),
		"another board": e.CheckBoardToken("badge", "b2", token),
		"another app":   e.CheckBoardToken("sensor", "b1", token),
		"another fleet": other.CheckBoardToken("badge", "b1", token),
	} {
		if !errors.Is(err, fleet.ErrUnauthorized) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "sgb_") {
			t.Errorf("%s: the error tells the token: %v", name, err)
		}
	}
}

func TestScopes(t *testing.T) {
	order := []fleet.Scope{fleet.ScopeRead, fleet.ScopePublish, fleet.ScopeManage, fleet.ScopeAdmin}
	for i, have := range order {
		for j, want := range order {
			if have.Allows(want) != (i >= j) {
				t.Errorf("%s allows %s: %v", have, want, have.Allows(want))
			}
		}
		if have.Allows("odd") || have.Allows("") {
			t.Errorf("%s allows what there is not", have)
		}
		if fleet.Scope("odd").Allows(have) {
			t.Errorf("an odd scope allows %s", have)
		}
	}
}

func TestToken(t *testing.T) {
	token, secret, err := fleet.NewToken([32]byte{1}, "ci", fleet.ScopePublish, noon, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if !fleet.LooksLikeToken(secret) || fleet.HashToken(secret) != token.Hash {
		t.Errorf("%q is not the token's", secret)
	}
	for _, text := range []string{"", "sga_", secret[:len(secret)-1], secret + "A", "sgb" + secret[3:], secret[:len(secret)-1] + "/"} {
		if fleet.LooksLikeToken(text) {
			t.Errorf("%q looks like a token", text)
		}
	}
	revoked := token
	revoked.Revoked = noon
	for _, c := range []struct {
		token fleet.Token
		now   time.Time
		scope fleet.Scope
		want  error
	}{
		{token, noon, fleet.ScopePublish, nil},
		{token, noon, fleet.ScopeRead, nil},
		{token, noon, fleet.ScopeManage, fleet.ErrForbidden},
		{token, noon.Add(time.Hour), fleet.ScopeRead, fleet.ErrUnauthorized},
		{revoked, noon, fleet.ScopeRead, fleet.ErrUnauthorized},
	} {
		if err := c.token.Check(c.now, c.scope); !errors.Is(err, c.want) {
			t.Errorf("%s at %v: %v, want %v", c.scope, c.now, err, c.want)
		}
	}
	for name, make := range map[string]func() error{
		"name":    func() error { _, _, err := fleet.NewToken([32]byte{}, "", "read", noon, noon); return err },
		"scope":   func() error { _, _, err := fleet.NewToken([32]byte{}, "ci", "odd", noon, time.Time{}); return err },
		"expired": func() error { _, _, err := fleet.NewToken([32]byte{}, "ci", "read", noon, noon); return err },
	} {
		if err := make(); !errors.Is(err, fleet.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
