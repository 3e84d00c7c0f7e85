package httpapi

import (
	"hash/maphash"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits are how often a minute something may be done, on average; as often at once
// after a pause. 0 is no limit. Whoever does it more often is answered 429, and when
// to try again.
type Limits struct {
	// Address is requests of any kind from one address. Boards that share a line
	// share it.
	Address int
	// Board is polls of one board, from one address: the board that it says to be.
	Board int
	// Packs is packs that are to be made, for one address. One that was made before
	// does not count.
	Packs int
	// Refused is requests from one address with a wrong token, or with none where it
	// takes one. Calls of the administration are refused from then on, whatever they
	// show; a board that shows its own token is not.
	Refused int
}

// limits are Limits with what was done lately.
type limits struct {
	address, board, packs, refused *limiter
}

func newLimits(l Limits) limits {
	return limits{newLimiter(l.Address), newLimiter(l.Board), newLimiter(l.Packs), newLimiter(l.Refused)}
}

// maxLimited is how many keys a limiter remembers: at most twice as many, of some 200
// bytes each.
const maxLimited = 32 << 10

// A limiter limits how often something may be done by each of any number of keys. Of
// those that were not seen for long it forgets that they were, so they can do a little
// more; one that goes on without end is remembered. A nil limiter has no limit.
type limiter struct {
	perMinute int
	seed      maphash.Seed

	mu sync.Mutex
	// The keys that were seen last, and those before them.
	now, before map[uint64]*rate.Limiter
}

func newLimiter(perMinute int) *limiter {
	if perMinute <= 0 {
		return nil
	}
	return &limiter{perMinute: perMinute, seed: maphash.MakeSeed(), now: map[uint64]*rate.Limiter{}}
}

// A limitKey is whose limit it is. ID is "" where it is an address.
type limitKey struct {
	address netip.Addr
	app, id string
}

// of returns the limit of a key. Two keys of one hash would share it, which does no harm.
func (l *limiter) of(key limitKey) *rate.Limiter {
	hash := maphash.Comparable(l.seed, key)
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.now[hash]; r != nil {
		return r
	}
	r := l.before[hash]
	if r == nil {
		r = rate.NewLimiter(rate.Limit(float64(l.perMinute)/60), l.perMinute)
	}
	if len(l.now) >= maxLimited {
		l.now, l.before = map[uint64]*rate.Limiter{}, l.now
	}
	l.now[hash] = r
	return r
}

// take counts one more of a key, if it is not one too many. wait is 0 if it is not, and
// else after which time there may be one more.
func (l *limiter) take(key limitKey, now time.Time) (wait time.Duration) {
	if l == nil {
		return 0
	}
	r := l.of(key)
	if r.AllowN(now, 1) {
		return 0
	}
	return untilOne(r, now)
}

// full is take, but it counts nothing.
func (l *limiter) full(key limitKey, now time.Time) (wait time.Duration) {
	if l == nil {
		return 0
	}
	if r := l.of(key); r.TokensAt(now) < 1 {
		return untilOne(r, now)
	}
	return 0
}

// untilOne returns after which time there is one more. It is more than 0.
func untilOne(r *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - r.TokensAt(now)
	return max(time.Millisecond, time.Duration(missing/float64(r.Limit())*float64(time.Second)))
}

// retryAfter says when to try again, in whole seconds and at least one.
func retryAfter(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
}

// writeTooMany answers a request that is one too many.
func writeTooMany(w http.ResponseWriter, wait time.Duration) {
	retryAfter(w, wait)
	writeText(w, http.StatusTooManyRequests, "too many requests; Retry-After says when to try again")
}

// limitAddress lets as many requests through as one address may make. Those of a load
// balancer that asks whether the server works do not count.
func (s *Server) limitAddress(next http.Handler) http.Handler {
	if s.limits.address == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" && r.URL.Path != "/readyz" {
			if wait := s.limits.address.take(s.from(r), s.now()); wait > 0 {
				s.metrics.limited.WithLabelValues("address").Inc()
				if r.Header.Get(ReportHeader) != "" {
					s.setPoll(w, wait+time.Second-1)
				}
				writeTooMany(w, wait)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// from returns whose request it is: an address, or the network that one customer has
// of IPv6 ones. A proxy's word is taken for it, if it is one of ours.
func (s *Server) from(r *http.Request) limitKey {
	var at netip.Addr
	if remote, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		at = remote.Addr().Unmap()
	}
	if len(s.proxies) > 0 {
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for _, hop := range slices.Backward(hops) {
			if !slices.ContainsFunc(s.proxies, func(p netip.Prefix) bool { return p.Contains(at) }) {
				break
			}
			before, err := netip.ParseAddr(strings.TrimSpace(hop))
			if err != nil {
				break
			}
			at = before.Unmap().WithZone("")
		}
	}
	if at.Is6() {
		const customer = 64
		if network, err := at.WithZone("").Prefix(customer); err == nil {
			at = network.Addr()
		}
	}
	return limitKey{address: at}
}
