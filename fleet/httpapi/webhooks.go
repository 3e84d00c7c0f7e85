package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/cactuscon/saguarota/fleet"
)

// Headers of what webhooks are told.
const (
	SignatureHeader = "Saguarota-Signature" // fleet.SignWebhook
	EventHeader     = "Saguarota-Event"
	DeliveryHeader  = "Saguarota-Delivery" // its ID: the same when it is tried again
)

// Bounds of an attempt to tell a webhook something. It ends before its fleet.Lease does.
const (
	webhookTimeout  = 15 * time.Second
	webhookAnswer   = 64 << 10 // bytes of an answer that are read
	webhookHead     = 64 << 10 // bytes of its header
	webhooksAtOnce  = 4        // deliveries to one webhook
	webhookLastWait = 5 * time.Second
)

// a teller tells webhooks what they are to be told.
type teller struct {
	*Server
	client *http.Client

	mu   sync.Mutex
	busy map[int64]bool // webhooks that are being told something
	wait sync.WaitGroup
	more chan struct{} // there may be more for one of them
}

// newTeller returns a teller whose webhooks may lead to this machine itself only if
// local is set.
func newTeller(s *Server, local bool) *teller {
	dialer := &net.Dialer{Timeout: webhookTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		if local {
			return nil
		}
		own, err := s.ownAddresses()
		if err != nil {
			return err
		}
		return checkWebhookAddress(address, own)
	}}
	return &teller{
		Server: s, busy: map[int64]bool{}, more: make(chan struct{}, 1),
		client: &http.Client{
			Timeout: webhookTimeout,
			// No proxy: it would look up names behind the back of the check.
			Transport: &http.Transport{
				DialContext: dialer.DialContext, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: webhookHead,
				MaxIdleConnsPerHost: webhooksAtOnce, IdleConnTimeout: idleTimeout, TLSHandshakeTimeout: webhookTimeout,
			},
			// Whoever signs up for events gets them, and nobody whom he names later.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// errWebhookAddress: a webhook that leads to where only this machine gets.
var errWebhookAddress = errors.New("this address is for nobody but the server itself; it takes the option --webhooks-local")

// metadata are addresses at which machines in clouds ask for their own secrets, of those
// that look like any other.
var metadata = []netip.Addr{netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("100.100.100.200")}

// ownAddresses returns the addresses of this machine now.
func (s *Server) ownAddresses() ([]netip.Addr, error) {
	list, err := s.interfaces()
	if err != nil {
		return nil, fmt.Errorf("which addresses this machine has: %w", err)
	}
	var own []netip.Addr
	for _, a := range list {
		if network, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, network.Addr().Unmap().WithZone(""))
		}
	}
	return own, nil
}

// checkWebhookAddress reports whether a webhook may lead to an address: not to this
// machine, whose own addresses are given, nor to what only its own link reaches. It is
// asked for the address that is connected to, whatever name that was.
func checkWebhookAddress(address string, own []netip.Addr) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q", errWebhookAddress, address)
	}
	ip := ap.Addr().Unmap().WithZone("")
	switch {
	case ip.IsLoopback(), ip.IsUnspecified(), ip.IsLinkLocalUnicast(), ip.IsMulticast(), ip.Is4() && (ip.As4()[0] == 0 || ip.As4()[0] >= 240):
		return errWebhookAddress
	case slices.Contains(metadata, ip), slices.Contains(own, ip):
		return errWebhookAddress
	}
	// IPv6 that carries IPv4: 64:ff9b::/96, 2002::/16.
	if ip.Is6() {
		b := ip.As16()
		inner, carries := netip.Addr{}, false
		switch {
		case [12]byte(b[:12]) == [12]byte{0, 0x64, 0xff, 0x9b}:
			inner, carries = netip.AddrFrom4([4]byte(b[12:])), true
		case b[0] == 0x20 && b[1] == 0x02:
			inner, carries = netip.AddrFrom4([4]byte(b[2:6])), true
		}
		if carries {
			return checkWebhookAddress(netip.AddrPortFrom(inner, ap.Port()).String(), own)
		}
	}
	return nil
}

// RunWebhooks tells webhooks what they are to be told, until ctx ends. Any number of
// servers may do so. Errors are logged.
func (s *Server) RunWebhooks(ctx context.Context) { newTeller(s, s.webhooksLocal).run(ctx) }

func (t *teller) run(ctx context.Context) {
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := t.tell(ctx, sending); err != nil && ctx.Err() == nil {
			t.log.Error("webhooks are not told", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-t.more:
		}
	}
	// What is under way may end; what does not is tried again when its lease is over.
	defer time.AfterFunc(webhookLastWait, stop).Stop()
	t.wait.Wait()
	t.client.CloseIdleConnections()
}

// tell begins with all that is due.
func (t *teller) tell(ctx, sending context.Context) error {
	t.mu.Lock()
	var busy []int64
	for id := range t.busy {
		busy = append(busy, id)
	}
	t.mu.Unlock()
	claims, err := t.store.ClaimDeliveries(ctx, t.now(), webhooksAtOnce, busy)
	for _, c := range claims {
		t.mu.Lock()
		t.busy[c.Webhook.ID] = true
		t.mu.Unlock()
		t.wait.Go(func() { t.tellOne(sending, c) })
	}
	return err
}

// tellOne tells one webhook what was claimed for it.
func (t *teller) tellOne(ctx context.Context, c fleet.Claim) {
	var wait sync.WaitGroup
	for _, d := range c.Deliveries {
		wait.Go(func() { t.deliver(ctx, &c.Webhook, d) })
	}
	wait.Wait()
	t.mu.Lock()
	delete(t.busy, c.Webhook.ID)
	t.mu.Unlock()
	if len(c.Deliveries) == webhooksAtOnce {
		select {
		case t.more <- struct{}{}:
		default:
		}
	}
}

// storeTimeout is how long the database may take to hear how a delivery ended.
const storeTimeout = 10 * time.Second

func (t *teller) deliver(ctx context.Context, w *fleet.Webhook, d fleet.Delivery) {
	status, problem := t.attempt(ctx, w, &d)
	if ctx.Err() != nil {
		return // that it was broken off is nobody's fault; another server tries again
	}
	result := "delivered"
	if problem != "" {
		result = "failed"
		t.log.Warn("a webhook is not told", "webhook", w.ID, "host", w.Host(), "delivery", d.ID, "event", d.Event, "attempt", d.Attempts, "problem", problem)
	}
	t.metrics.webhooks.WithLabelValues(result).Inc()
	storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	now := t.now()
	if err := t.store.EndDelivery(storing, now, d.Ended(now, status, problem, t.jitter())); err != nil {
		t.log.Error("it is not stored what became of a delivery", "error", err)
	}
}

// attempt tells a webhook once. problem is "" if it has answered that it got it.
func (t *teller) attempt(ctx context.Context, w *fleet.Webhook, d *fleet.Delivery) (status int, problem string) {
	content := d.Content()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(content))
	if err != nil {
		return 0, "the address cannot be asked"
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "saguarota")
	req.Header.Set(EventHeader, string(d.Event))
	req.Header.Set(DeliveryHeader, strconv.FormatInt(d.ID, 10))
	req.Header.Set(SignatureHeader, fleet.SignWebhook(w.Secret, t.now(), content))
	resp, err := t.client.Do(req)
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err // without the address: its path often is a secret
		}
		return 0, err.Error()
	}
	// So that the connection can be used again; more of the answer is of no interest.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, webhookAnswer))
	_ = resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return resp.StatusCode, fmt.Sprintf("the answer is %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return resp.StatusCode, ""
}
