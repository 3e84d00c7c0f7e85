package httpapi

import (
	"context"
	"net/netip"
	"time"
)

// For tests: a limiter by name.
const MaxLimited = maxLimited

type Limiter struct{ l *limiter }

func NewLimiter(perMinute int) Limiter { return Limiter{newLimiter(perMinute)} }

func (l Limiter) Take(name string, now time.Time) time.Duration {
	return l.l.take(limitKey{id: name}, now)
}

func (l Limiter) Len() int { return len(l.l.now) + len(l.l.before) }

// CheckWebhookAddress is for tests.
func CheckWebhookAddress(address string) error { return checkWebhookAddress(address, nil) }

// TellWebhooks tells webhooks what is due, once, and waits until they are.
func (s *Server) TellWebhooks(ctx context.Context, timeout time.Duration) error {
	t := newTeller(s, s.webhooksLocal)
	t.client.Timeout = timeout
	defer t.client.CloseIdleConnections()
	err := t.tell(ctx, ctx)
	t.wait.Wait()
	return err
}

// OwnAddresses is for tests.
func (s *Server) OwnAddresses() ([]netip.Addr, error) { return s.ownAddresses() }
