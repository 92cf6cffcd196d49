// Upstream's conformance suite of the inference extension as a program: where it runs there need be no Go.
package main

import (
	"regexp"
	"testing"

	"sigs.k8s.io/gateway-api-inference-extension/conformance"
)

func main() {
	testing.Main(regexp.MatchString, []testing.InternalTest{{Name: "TestConformance", F: conformance.RunConformance}}, nil, nil)
}
