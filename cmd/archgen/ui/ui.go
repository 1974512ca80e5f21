// Package ui owns the terminal: which characters may be printed, tables, colours, the size
// of the terminal, questions and hidden input.
//
// It knows neither apps nor units: it takes text and returns or prints text. It does not
// decide what to print, opens no file, and never ends the program, except on a signal while
// input is hidden.
package ui
