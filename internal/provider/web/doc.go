// Package web keeps the local table in step that web sites read: who, by a
// public id, is in which public audiences and has which public attributes.
//
// It owns what a row of that table is. Nothing leaves the machine: the table is
// handed to it (provider.Site), and who may read it is decided elsewhere. It is
// built for one failure: an id that is somebody's e-mail address or phone number
// must never become a public one.
package web
