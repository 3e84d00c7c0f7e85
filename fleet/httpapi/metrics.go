package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/cactuscon/saguarota/fleet"
)

// What a poll was answered with: values of the label "answer".
const (
	pollOffered   = "offered"   // a release
	pollNothing   = "nothing"   // nothing to install
	pollAnonymous = "anonymous" // the channel's release, to who did not say who he is
	pollSenseless = "senseless" // the report makes no sense
	pollRefused   = "refused"   // no valid token
	pollLimited   = "limited"   // one too many
	pollFailed    = "failed"    // the server could not
)

// metrics are what a server tells Prometheus: of itself, and what the store knows of
// the rollouts that are open.
type metrics struct {
	handler   http.Handler
	polls     *prometheus.CounterVec
	packs     *prometheus.CounterVec
	published prometheus.Counter
	limited   *prometheus.CounterVec
	webhooks  *prometheus.CounterVec
	errors    prometheus.Counter
}

func newMetrics(rollouts prometheus.Collector) *metrics {
	count := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "saguarota", Name: name, Help: help}
	}
	m := &metrics{
		polls:     prometheus.NewCounterVec(count("polls_total", "Polls, by what they were answered with."), []string{"answer"}),
		packs:     prometheus.NewCounterVec(count("packs_total", "Packs that were sent, by whether they were in memory or had to be made."), []string{"from"}),
		published: prometheus.NewCounter(count("releases_published_total", "Releases that were published on this server.")),
		limited:   prometheus.NewCounterVec(count("limited_total", "Requests that were one too many, by which limit."), []string{"limit"}),
		webhooks:  prometheus.NewCounterVec(count("webhooks_total", "Attempts to tell webhooks something, by how they ended."), []string{"result"}),
		errors:    prometheus.NewCounter(count("errors_total", "Errors in the log of this server.")),
	}
	// What has not happened yet is 0, and not unknown.
	for _, answer := range []string{pollOffered, pollNothing, pollAnonymous, pollSenseless, pollRefused, pollLimited, pollFailed} {
		m.polls.WithLabelValues(answer)
	}
	for _, from := range []string{"memory", "made"} {
		m.packs.WithLabelValues(from)
	}
	for _, limit := range []string{"address", "board", "packs", "refused"} {
		m.limited.WithLabelValues(limit)
	}
	for _, result := range []string{"delivered", "failed"} {
		m.webhooks.WithLabelValues(result)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.polls, m.packs, m.published, m.limited, m.webhooks, m.errors, rollouts,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// What cannot be read now is left out, and said in the log.
	m.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, DisableCompression: true})
	return m
}

// serveMetrics answers Prometheus, which shows a token with the scope "read".
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if _, err := s.allowed(w, r, fleet.ScopeRead); err != nil {
		return
	}
	s.metrics.handler.ServeHTTP(w, r)
}

// rolloutCollector collects how many boards of open rollouts are in which stage.
type rolloutCollector struct{ s *Server }

var stageMetric = prometheus.NewDesc("saguarota_rollout_boards", "Boards of an open rollout, by stage.", []string{"app", "channel", "rollout", "stage"}, nil)

// metricsTimeout is how long the database may take.
const metricsTimeout = 5 * time.Second

// Describe implements prometheus.Collector.
func (c rolloutCollector) Describe(to chan<- *prometheus.Desc) { to <- stageMetric }

// Collect implements prometheus.Collector.
func (c rolloutCollector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), metricsTimeout)
	defer cancel()
	for _, v := range c.s.snapshot.Load().Views {
		for _, channel := range v.Channels {
			if channel.Rollout == nil {
				continue
			}
			r, err := c.s.store.Rollout(ctx, channel.Rollout.ID)
			if err != nil {
				c.s.log.Error("a rollout cannot be counted", "rollout", channel.Rollout.ID, "error", err)
				continue
			}
			for stage := fleet.Offered; stage <= fleet.TimedOut; stage++ {
				to <- prometheus.MustNewConstMetric(stageMetric, prometheus.GaugeValue, float64(r.Counts[stage]),
					r.App, r.Channel, strconv.FormatInt(r.ID, 10), stage.String())
			}
		}
	}
}

// countedErrors is a log that counts errors.
type countedErrors struct {
	slog.Handler
	errors prometheus.Counter
}

// Handle implements slog.Handler.
func (h countedErrors) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		h.errors.Inc()
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h countedErrors) WithAttrs(attrs []slog.Attr) slog.Handler {
	return countedErrors{h.Handler.WithAttrs(attrs), h.errors}
}

// WithGroup implements slog.Handler.
func (h countedErrors) WithGroup(name string) slog.Handler {
	return countedErrors{h.Handler.WithGroup(name), h.errors}
}
