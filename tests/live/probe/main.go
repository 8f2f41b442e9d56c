// Probe is the one program of the live cluster's own image: the pause container of each pod, what
// listens where a connection is tried, what tries it, and what sends load.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How long a connection is tried. One that a policy forbids gets no answer at all.
const patience = 2 * time.Second

func main() {
	over := make(chan os.Signal, 1)
	signal.Notify(over, syscall.SIGTERM, syscall.SIGINT)
	arguments := append(os.Args[1:], "pause")
	switch arguments[0] {
	case "serve":
		for _, address := range os.Args[2:] {
			serve(address)
		}
		<-over
	case "connect":
		connect(os.Args[2:])
	case "load":
		load(os.Args[2], os.Args[3], over)
	case "end":
		// The first process of its container.
		fail(syscall.Kill(1, syscall.SIGTERM))
	default:
		<-over
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve answers on PROTOCOL:PORT, or on PROTOCOL:HOST:PORT alone.
func serve(address string) {
	protocol, place, _ := strings.Cut(address, ":")
	if !strings.Contains(place, ":") {
		place = ":" + place
	}
	if protocol == "udp" {
		listener, err := net.ListenPacket("udp4", place)
		fail(err)
		go func() {
			buffer := make([]byte, 512)
			for {
				count, peer, err := listener.ReadFrom(buffer)
				fail(err)
				listener.WriteTo(buffer[:count], peer)
			}
		}()
		return
	}
	listener, err := net.Listen("tcp4", place)
	fail(err)
	go func() {
		for {
			connection, err := listener.Accept()
			fail(err)
			connection.Close()
		}
	}()
}

// connect tries each PROTOCOL:HOST:PORT and prints which of them answer.
func connect(addresses []string) {
	answers := map[string]bool{}
	var lock sync.Mutex
	var all sync.WaitGroup
	for _, address := range addresses {
		all.Add(1)
		go func() {
			defer all.Done()
			answered := try(address)
			lock.Lock()
			answers[address] = answered
			lock.Unlock()
		}()
	}
	all.Wait()
	fail(json.NewEncoder(os.Stdout).Encode(answers))
}

func try(address string) bool {
	protocol, peer, _ := strings.Cut(address, ":")
	connection, err := net.DialTimeout(protocol+"4", peer, patience)
	if err != nil {
		return false
	}
	defer connection.Close()
	if protocol == "tcp" {
		return true
	}
	connection.SetDeadline(time.Now().Add(patience))
	if _, err := connection.Write([]byte("?")); err != nil {
		return false
	}
	_, err = connection.Read(make([]byte, 1))
	return err == nil
}

// load sends requests over so many connections until the end, and prints how they went: the number of
// each status, or the error in its place. Each connection is kept for fifty requests, as otherwise new
// pods would get none while the old ones live.
func load(url, connections string, over <-chan os.Signal) {
	count, err := strconv.Atoi(connections)
	fail(err)
	results := map[string]int{}
	var slowest time.Duration
	var lock sync.Mutex
	var all sync.WaitGroup
	done := make(chan struct{})
	for range count {
		all.Add(1)
		go func() {
			defer all.Done()
			client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
			for number := 1; ; number++ {
				select {
				case <-done:
					return
				case <-time.After(10 * time.Millisecond):
				}
				if number%50 == 0 {
					client.CloseIdleConnections()
				}
				started := time.Now()
				result := get(client, url)
				lock.Lock()
				results[result]++
				slowest = max(slowest, time.Since(started))
				lock.Unlock()
			}
		}()
	}
	<-over
	close(done)
	all.Wait()
	report := map[string]any{"results": results, "slowest": slowest.Seconds()}
	fail(json.NewEncoder(os.Stdout).Encode(report))
}

func get(client *http.Client, url string) string {
	response, err := client.Get(url)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err.Error()
	}
	return strconv.Itoa(response.StatusCode)
}
