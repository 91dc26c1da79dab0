// testpod: what the dev cluster's own tests run in pods. A static program with
// no other file in its image, so that building and loading it takes a second.
//
//	testpod serve           answers on port 8080: / with the pod's name,
//	                        /fetch?url=URL with what it finds there,
//	                        /api?path=PATH with what the API server answers to
//	                        the pod's service account,
//	                        /lookup?name=NAME with the addresses of a name, as
//	                        Go's own resolver finds them
//	testpod say WORD...     prints the words
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Where the kubelet mounts what a pod needs to call the API server.
const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

func main() {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "serve":
		serve()
	case len(os.Args) > 2 && os.Args[1] == "say":
		fmt.Println(strings.Join(os.Args[2:], " "))
	default:
		fmt.Fprintln(os.Stderr, "usage: testpod serve | say WORD...")
		os.Exit(2)
	}
}

func serve() {
	// PID 1 of a container has no default action for SIGTERM.
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	go func() { <-ended; os.Exit(0) }()

	name, _ := os.Hostname()
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, name) })
	http.HandleFunc("/fetch", func(w http.ResponseWriter, r *http.Request) {
		request, err := http.NewRequest("GET", r.FormValue("url"), nil)
		answer(w, &http.Client{Timeout: 5 * time.Second}, request, err)
	})
	http.HandleFunc("/api", func(w http.ResponseWriter, r *http.Request) {
		client, request, err := asServiceAccount(r.FormValue("path"))
		answer(w, client, request, err)
	})
	http.HandleFunc("/lookup", func(w http.ResponseWriter, r *http.Request) {
		found, err := net.DefaultResolver.LookupHost(r.Context(), r.FormValue("name"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		fmt.Fprintln(w, strings.Join(found, "\n"))
	})
	fmt.Println("testpod listens on port 8080")
	fmt.Fprintln(os.Stderr, http.ListenAndServe(":8080", nil))
	os.Exit(1)
}

func answer(w http.ResponseWriter, client *http.Client, request *http.Request, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	found, err := client.Do(request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer found.Body.Close()
	w.WriteHeader(found.StatusCode)
	io.Copy(w, found.Body)
}

func asServiceAccount(path string) (*http.Client, *http.Request, error) {
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return nil, nil, err
	}
	authority, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return nil, nil, err
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(authority)
	server := net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	request, err := http.NewRequest("GET", "https://"+server+path, nil)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}
	return &http.Client{Timeout: 5 * time.Second, Transport: transport}, request, nil
}
