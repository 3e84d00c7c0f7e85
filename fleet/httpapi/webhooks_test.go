package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cactuscon/saguarota/fleet"
	"github.com/cactuscon/saguarota/fleet/httpapi"
	"github.com/cactuscon/saguarota/fleet/httpapi/api"
)

// a receiver is what a webhook leads to.
type receiver struct {
	*httptest.Server
	got chan received

	mu     sync.Mutex
	answer func(w http.ResponseWriter, r *http.Request)
}

// answers sets how requests are answered from now on.
func (v *receiver) answers(f func(w http.ResponseWriter, r *http.Request)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answer = f
}

type received struct {
	header http.Header
	body   string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	v := &receiver{got: make(chan received, 100), answer: func(http.ResponseWriter, *http.Request) {}}
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost {
			t.Errorf("%s, %v", r.Method, err)
		}
		v.got <- received{r.Header.Clone(), string(body)}
		v.mu.Lock()
		answer := v.answer
		v.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(v.Server.Close)
	return v
}

// hookRig returns a rig whose server may tell this machine, and a receiver with a webhook.
func hookRig(t *testing.T, events ...string) (r *rig, v *receiver, id int64, secret string) {
	t.Helper()
	r, v = newRig(t), newReceiver(t)
	r.server = r.newServer(func(c *httpapi.Config) { c.WebhooksLocal = true })
	r.web.Config.Handler = r.server.Handler()
	made, err := r.client(r.token("admin", fleet.ScopeAdmin)).AddWebhookWithResponse(t.Context(), api.NewWebhook{URL: v.URL + "/secret-path", Events: &events})
	r.must(err)
	ok(t, made.StatusCode(), made.Body, nil)
	return r, v, made.JSON200.ID, made.JSON200.Secret
}

// tell tells webhooks what is due now.
func (r *rig) tell() {
	r.t.Helper()
	r.must(r.server.TellWebhooks(r.t.Context(), 5*time.Second))
}

// last returns the newest delivery of a webhook.
func (r *rig) lastDelivery(id int64) fleet.Delivery {
	r.t.Helper()
	list, err := r.store.Deliveries(r.t.Context(), id, 0, 1)
	r.must(err)
	if len(list) == 0 {
		r.t.Fatalf("webhook %d was told nothing", id)
	}
	return list[0]
}

func TestWebhookIsTold(t *testing.T) {
	r, v, id, secret := hookRig(t)
	version := r.publish("one")
	r.tell()
	got := <-v.got
	var body struct {
		ID     int64           `json:"id"`
		Event  string          `json:"event"`
		At     time.Time       `json:"at"`
		App    string          `json:"app"`
		Actor  string          `json:"actor"`
		Object string          `json:"object"`
		After  json.RawMessage `json:"after"`
	}
	r.must(json.Unmarshal([]byte(got.body), &body))
	if body.Event != "release.published" || !body.At.Equal(noon) || body.App != "badge" || body.Actor != "ada" || body.Object != strconv.FormatInt(version, 10) {
		t.Errorf("the body is %s", got.body)
	}
	d := r.lastDelivery(id)
	if want := fleet.SignWebhook(secret, noon, []byte(got.body)); got.header.Get(httpapi.SignatureHeader) != want {
		t.Errorf("signature %q, want %q", got.header.Get(httpapi.SignatureHeader), want)
	}
	if got.header.Get(httpapi.EventHeader) != body.Event || got.header.Get(httpapi.DeliveryHeader) != fmt.Sprint(body.ID) || body.ID != d.ID {
		t.Errorf("headers %v, delivery %d", got.header, d.ID)
	}
	if got.header.Get("Content-Type") != "application/json" || strings.Contains(got.body, secret) {
		t.Errorf("%v %s", got.header, got.body)
	}
	if d.Done.IsZero() || d.Status != 200 || d.Problem != "" || d.Attempts != 1 {
		t.Errorf("delivery %+v", d)
	}
	r.tell()
	if len(v.got) != 0 {
		t.Error("it is told twice")
	}
	// Nobody is shown the secret again, and no log has it.
	client := r.client(r.token("another", fleet.ScopeAdmin))
	list, err := client.ListWebhooksWithResponse(t.Context())
	r.must(err)
	deliveries, err := client.ListDeliveriesWithResponse(t.Context(), id, nil)
	r.must(err)
	if all := string(list.Body) + string(deliveries.Body) + r.log.String(); strings.Contains(all, secret) {
		t.Errorf("the secret is in %s", all)
	}
	if n := (*deliveries.JSON200)[0]; n.Status != 200 || n.Done == nil || n.Due != nil {
		t.Errorf("delivery %+v", n)
	}
}

// What is not answered with 2xx is tried again, later and later.
func TestWebhookIsToldAgain(t *testing.T) {
	r, v, id, _ := hookRig(t, "release.published")
	var answered atomic.Int32
	v.answers(func(w http.ResponseWriter, req *http.Request) {
		switch status := int(answered.Load()); status {
		case 0:
			panic(http.ErrAbortHandler) // no answer
		case http.StatusFound:
			http.Redirect(w, req, "/elsewhere", status)
		default:
			w.WriteHeader(status)
		}
	})
	r.publish("one")
	var first received
	for i, s := range []int{500, 0, http.StatusFound, 404} {
		answered.Store(int32(s))
		r.tell()
		got := <-v.got
		if i == 0 {
			first = got
		} else if got.body != first.body || got.header.Get(httpapi.DeliveryHeader) != first.header.Get(httpapi.DeliveryHeader) {
			t.Errorf("attempt %d: %s, before %s", i+1, got.body, first.body)
		}
		if len(v.got) != 0 {
			t.Errorf("after %d it asks %v", s, <-v.got)
		}
		d := r.lastDelivery(id)
		if !d.Done.IsZero() || d.Status != s || d.Problem == "" || d.Attempts != i+1 {
			t.Errorf("after %d: %+v", s, d)
		}
		if strings.Contains(d.Problem, "secret-path") {
			t.Errorf("the problem tells the path: %s", d.Problem)
		}
		// Not before its time.
		r.tell()
		if len(v.got) != 0 {
			t.Fatal("it is tried again at once")
		}
		r.clock.Add(int64(d.Due.Sub(r.now())/time.Second) + 1)
	}
	answered.Store(http.StatusNoContent)
	r.tell()
	<-v.got
	if d := r.lastDelivery(id); d.Done.IsZero() || d.Status != 204 || d.Attempts != 5 {
		t.Errorf("at last: %+v", d)
	}
	hooks, err := r.store.Webhooks(t.Context())
	r.must(err)
	if hooks[0].Failures != 0 {
		t.Errorf("after a success: %+v", hooks[0])
	}
	if log := r.log.String(); strings.Contains(log, "secret-path") || !strings.Contains(log, "a webhook is not told") {
		t.Errorf("the log:\n%s", log)
	}
}

// One that takes its time, or answers without end, costs no more than an attempt does.
func TestWebhookThatDoesNotEnd(t *testing.T) {
	r, v, id, _ := hookRig(t)
	release := make(chan struct{})
	v.answers(func(_ http.ResponseWriter, req *http.Request) {
		select {
		case <-req.Context().Done():
		case <-release:
		}
	})
	r.publish("one")
	r.must(r.server.TellWebhooks(t.Context(), 100*time.Millisecond))
	<-v.got
	if d := r.lastDelivery(id); !d.Done.IsZero() || d.Problem == "" {
		t.Errorf("without an answer: %+v", d)
	}
	close(release)
	v.answers(func(w http.ResponseWriter, req *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	r.clock.Add(3600)
	r.tell()
	if d := r.lastDelivery(id); d.Done.IsZero() || d.Status != 200 {
		t.Errorf("an answer without end: %+v", d)
	}
}

// What a server is told to stop in the middle of ends first.
func TestWebhooksEnd(t *testing.T) {
	r, v, id, _ := hookRig(t)
	release := make(chan struct{})
	v.answers(func(http.ResponseWriter, *http.Request) { <-release })
	r.publish("one")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.server.RunWebhooks(ctx)
	}()
	<-v.got
	stop()
	close(release)
	<-ended
	if d := r.lastDelivery(id); d.Done.IsZero() || d.Status != 200 {
		t.Errorf("%+v", d)
	}
}

// Webhooks do not lead to where only the server gets.
func TestWebhookAddresses(t *testing.T) {
	for _, address := range []string{
		"127.0.0.1:80", "127.1.2.3:80", "0.0.0.0:80", "0.1.2.3:80", "169.254.169.254:80", "224.0.0.1:80", "255.255.255.255:80", "100.100.100.200:80",
		"[::1]:80", "[::]:80", "[fe80::1]:80", "[fe80::1%eth0]:80", "[ff02::1]:80", "[fd00:ec2::254]:80",
		"[::ffff:127.0.0.1]:80", "[::ffff:169.254.169.254]:80", "[64:ff9b::7f00:1]:80", "[2002:7f00:1::]:80", "nonsense", "",
	} {
		if err := httpapi.CheckWebhookAddress(address); err == nil {
			t.Errorf("%s is allowed", address)
		}
	}
	for _, address := range []string{"192.0.2.1:443", "10.1.2.3:80", "192.168.1.1:80", "[2001:db8::1]:443", "[64:ff9b::c000:201]:80"} {
		if err := httpapi.CheckWebhookAddress(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}

	r, v := newRig(t), newReceiver(t)
	admin := r.token("admin", fleet.ScopeAdmin)
	for _, address := range []string{v.URL, "http://localhost/", "http://[::1]/", "http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "gopher://example.com/"} {
		body, err := json.Marshal(api.NewWebhook{URL: address})
		r.must(err)
		if a := r.call("POST", api.Path+"/webhooks", admin, string(body)); a.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", address, a.status, a.body)
		}
	}
	// By a name, or where the option was taken back, it is noticed when it is connected to.
	w, err := fleet.NewWebhook([32]byte{1}, v.URL, "", nil, r.now())
	r.must(err)
	w, err = r.store.AddWebhook(t.Context(), r.ada(), w)
	r.must(err)
	r.publish("one")
	r.tell()
	if d := r.lastDelivery(w.ID); !d.Done.IsZero() || !strings.Contains(d.Problem, "--webhooks-local") {
		t.Errorf("%+v", d)
	}
	if len(v.got) != 0 {
		t.Errorf("it was told %v", <-v.got)
	}
}

func TestWebhooksWithoutDatabase(t *testing.T) {
	r, _, _, _ := hookRig(t)
	r.publish("one")
	r.must(r.store.Close())
	if err := r.server.TellWebhooks(t.Context(), time.Second); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("without a database: %v", err)
	}
}
