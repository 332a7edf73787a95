// Command smail-front speaks with a client that has not logged in. smaild
// starts it; see package login for its descriptors.
package main

import (
	"os"

	"smail/front"
	"smail/logline"
)

func main() {
	if err := front.Run(); err != nil {
		logline.Error("smail-front ends", "reason", err.Error())
		os.Exit(1)
	}
}
