package activation

import "time"

// UserID names a person who may sign in.
type UserID string

// User is a person who may sign in to this server. It is staff, not a customer:
// the login is kept in the control store.
type User struct {
	ID UserID `json:"id"`
	// Login is the person's e-mail address in lower case.
	Login string `json:"email"`
	Name  string `json:"name"`
	Role  Role   `json:"role"`
	// Disabled people keep their history but may do nothing.
	Disabled     bool      `json:"disabled"`
	PasswordHash string    `json:"-"`
	CreatedAt    time.Time `json:"created"`
	UpdatedAt    time.Time `json:"updated"`
	LastSignInAt time.Time `json:"last_sign_in_at,omitzero"`
}
