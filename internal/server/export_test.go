package server

import "usher/internal/forget"

// RaceEnabled is raceEnabled for the tests outside of the package.
const RaceEnabled = raceEnabled

// Forgetter is what forgets, for the tests outside of the package.
func (s *Server) Forgetter() *forget.Forgetter { return s.forgetter }
