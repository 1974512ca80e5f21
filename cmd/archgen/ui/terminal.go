package ui

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"
)

// Terminal returns the file of a stream, and whether that is a terminal.
func Terminal(stream any) (*os.File, bool) {
	f, isFile := stream.(*os.File)
	return f, isFile && term.IsTerminal(int(f.Fd()))
}

// Size is the number of columns and rows of a terminal; both are 0 for another writer.
func Size(w io.Writer) (width, height int) {
	f, isTerminal := Terminal(w)
	if !isTerminal {
		return 0, 0
	}
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil || width == 0 { // a terminal that does not know its size
		return 80, 24
	}
	return width, height
}

// Confirm asks a question, and reports whether the answer is yes.
func Confirm(in io.Reader, out io.Writer, question string) bool {
	fmt.Fprint(out, question)
	answer, err := bufio.NewReader(in).ReadString('\n')
	a := strings.ToLower(strings.TrimSpace(answer))
	return err == nil && (a == "y" || a == "yes")
}

// Line asks a question, and returns the answer without white space at its ends.
func Line(in io.Reader, out io.Writer, question string) (string, error) {
	fmt.Fprint(out, Lines(question))
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("reading the answer: %w", err)
	}
	return strings.TrimSpace(answer), nil
}

// failed is the exit code after a signal.
const failed = 1

// Hidden asks for one line at a terminal and does not show what is typed. Enter ends the
// line, Control-D does not. A signal that ends the program restores the terminal first.
func Hidden(terminal *os.File, out io.Writer, prompt string) (string, error) {
	fd := int(terminal.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("reading the settings of the terminal: %w", err)
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, os.Interrupt, syscall.SIGTERM)
	defer close(ended)
	defer signal.Stop(ended)
	go func() {
		if _, isSignal := <-ended; isSignal {
			_ = term.Restore(fd, before)
			os.Exit(failed)
		}
	}()
	fmt.Fprint(out, prompt)
	defer fmt.Fprintln(out)
	line, err := term.ReadPassword(fd)
	if err != nil {
		return "", fmt.Errorf("reading from the terminal: %w", err)
	}
	return string(line), nil
}
