// Package ui owns how archgen talks to a person at a terminal: which characters a
// terminal may get, tables, colours, the size of the terminal, questions and hidden
// input.
//
// It knows no app and no unit: it takes text and returns or prints text. It never
// decides what to print, opens no file, and never ends the program, except on a
// signal while a terminal hides what is typed.
package ui
