package main

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// What the link is like.
const (
	rate      = 50_000 // bytes a second, in each direction
	roundTrip = 80 * time.Millisecond
	piece     = 1400 // bytes that go over it at once
)

// A link carries connections to a server, as slowly as it is told to.
type link struct {
	listener    net.Listener
	server      string
	slow        atomic.Bool
	bytes       atomic.Int64
	connections atomic.Int64

	mu   sync.Mutex
	busy [2]time.Time // until when, by direction
}

func newLink(server string) (*link, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	k := &link{listener: l, server: server}
	go k.accept()
	return k, nil
}

func (k *link) url() string { return "http://" + k.listener.Addr().String() + "/ota/" }

// reset forgets what was counted.
func (k *link) reset(slow bool) {
	k.slow.Store(slow)
	k.bytes.Store(0)
	k.connections.Store(0)
}

func (k *link) accept() {
	for {
		board, err := k.listener.Accept()
		if err != nil {
			return
		}
		k.connections.Add(1)
		go func() {
			defer board.Close()
			if k.slow.Load() {
				time.Sleep(roundTrip) // TCP's handshake
			}
			server, err := net.Dial("tcp", k.server)
			if err != nil {
				return
			}
			defer server.Close()
			var both sync.WaitGroup
			both.Go(func() { k.carry(server, board, 0) })
			both.Go(func() { k.carry(board, server, 1) })
			both.Wait()
		}()
	}
}

type parcel struct {
	data []byte
	at   time.Time // when it arrives
}

// carry copies one direction of a connection: what is sent takes its turn on the link, and half a round trip.
func (k *link) carry(to, from net.Conn, direction int) {
	parcels := make(chan parcel, 1024)
	go func() {
		defer close(parcels)
		buf := make([]byte, piece)
		for {
			n, err := from.Read(buf)
			if n > 0 {
				k.bytes.Add(int64(n))
				parcels <- parcel{append([]byte(nil), buf[:n]...), k.arrival(n, direction)}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range parcels {
		time.Sleep(time.Until(p.at))
		if _, err := to.Write(p.data); err != nil {
			break
		}
	}
	to.(*net.TCPConn).CloseWrite()
	for range parcels {
	}
	io.Copy(io.Discard, from)
}

// arrival says when n bytes that are sent now come out of the link.
func (k *link) arrival(n, direction int) time.Time {
	now := time.Now()
	if !k.slow.Load() {
		return now
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.busy[direction].Before(now) {
		k.busy[direction] = now
	}
	k.busy[direction] = k.busy[direction].Add(time.Duration(n) * time.Second / rate)
	return k.busy[direction].Add(roundTrip / 2)
}
