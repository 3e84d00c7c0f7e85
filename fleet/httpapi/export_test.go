package httpapi

import "time"

// For tests: a limiter by name.
const MaxLimited = maxLimited

type Limiter struct{ l *limiter }

func NewLimiter(perMinute int) Limiter { return Limiter{newLimiter(perMinute)} }

func (l Limiter) Take(name string, now time.Time) time.Duration {
	return l.l.take(limitKey{id: name}, now)
}

func (l Limiter) Len() int { return len(l.l.now) + len(l.l.before) }
