package boardtest

import (
	"fmt"
	"testing"

	"github.com/cactuscon/saguarota/rehearse"
	signed "github.com/cactuscon/saguarota/release"
)

// What was current once is no release any more.
func TestSignedRollback(t *testing.T) {
	onBoth(t, func(t *testing.T, fs rehearse.FileSystem) {
		p := newPublisher(t, setup{fs: fs, size: 2 << 20})
		p.publish(200, release1.with(release{"more.py": "MORE = 1\n"}))
		old, oldManifest := p.file(statementFile), p.site.manifest
		p.run()
		p.publish(300, release2)
		p.updates(release2)
		// The old release, as it was.
		p.serve(release{statementFile: string(old)})
		p.site.offerBytes(oldManifest)
		p.refuses("rollback_refused", "version 200 after version 300")
		// Signed anew with a lower number.
		p.publish(299, release3)
		p.refuses("rollback_refused", "version 299 after version 300")
		// The same number for something else.
		p.publish(300, release3)
		p.refuses("rollback_refused", "version 300 again, with another manifest")
		p.publish(301, release3)
		p.updates(release3)
	})
}

// The highest signed time counts where the clock says less, or nothing.
func TestSignedTime(t *testing.T) {
	const first, day = 1_800_000_000, 86400
	clock := func(now int64) string {
		return trusting(1, keyA) + fmt.Sprintf(", **__import__('clock').at(%d)", now)
	}
	p := newPublisher(t, setup{options: clock(0)})
	signedAt := func(at, until int64) { p.say = func(s *signed.Statement) { s.Time, s.Expires = at, until } }

	signedAt(first, first+10*day)
	p.publish(200, release2)
	says(t, p.run(), "OTA: warning: no clock is set; expiry is not checked", "OTA: installed; restarting", "confirmed True")
	p.holdsRelease(release2)

	// Signed anew, with nothing to install: the time is noted all the same.
	signedAt(first+20*day, first+30*day)
	p.publish(200, release2)
	saysNot(t, p.bootTo(rehearse.AtREPL).Output, "expiry is not checked", "installed")
	p.idles()
	for _, now := range []int64{0, 946684800 /* 2000 */, 1609459200 /* 2021 */, first, first + 20*day - 1} {
		p.set(clock(now), "")
		signedAt(first+day, first+19*day)
		p.publish(300, release3)
		p.refuses("release_expired", fmt.Sprintf("it expired at %d, and it is %d", first+19*day, first+20*day))
	}
	// The last second in which it is valid.
	p.set(clock(first+30*day), "")
	signedAt(first+day, first+30*day-1)
	p.publish(300, release3)
	p.refuses("release_expired", "")
	signedAt(first+day, first+30*day)
	p.publish(300, release3)
	p.updates(release3)
}
