// A vCenter (or, with -esx, an ESXi host) of govmomi's simulator with a given number of hosts and machines.
// Prints "<url> <user> <password>" and ends when its standard input does.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"

	"github.com/vmware/govmomi/simulator"
)

func main() {
	clusters := flag.Int("clusters", 1, "clusters")
	hosts := flag.Int("hosts", 4, "hosts of each cluster")
	vms := flag.Int("vms", 200, "machines of each cluster, or of the ESXi host")
	esx := flag.Bool("esx", false, "an ESXi host instead of a vCenter")
	port := flag.Int("port", 0, "port on 127.0.0.1; 0 takes a free one")
	user := flag.String("user", "ringwall@vsphere.local", "account")
	password := flag.String("password", "p&ss<w>\"ord'", "its password")
	flag.Parse()
	log.SetOutput(io.Discard)

	model := simulator.VPX()
	if *esx {
		model = simulator.ESX()
	} else {
		model.Datacenter = 1
		model.Cluster = *clusters
		model.ClusterHost = *hosts
		model.Host = 0
	}
	model.Machine = *vms
	if err := model.Create(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer model.Remove()

	model.Service.Listen = &url.URL{
		Host: fmt.Sprintf("127.0.0.1:%d", *port),
		User: url.UserPassword(*user, *password),
	}
	model.Service.TLS = new(tls.Config)
	server := model.Service.NewServer()
	defer server.Close()
	fmt.Printf("https://%s %s %s\n", server.URL.Host, *user, *password)
	_, _ = io.Copy(io.Discard, os.Stdin)
}
