package rehearse

import "context"

// Play plays the update once, as it should go, and returns the flash before it and every write.
func (r Rehearsal) Play(ctx context.Context, dir string) (base []byte, log []Write, report *Report, err error) {
	p := &play{Rehearsal: r, dir: dir, report: &Report{FileSystem: r.Board.fs()}}
	if err := p.prepare(ctx); err != nil {
		return nil, nil, nil, err
	}
	defer p.site.close()
	if err := p.whole(ctx); err != nil {
		return nil, nil, nil, err
	}
	return p.base, p.log, p.report, nil
}
