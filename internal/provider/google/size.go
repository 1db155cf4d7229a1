package google

import (
	"context"
	"strconv"

	"usher/internal/provider"
)

// sizeInfo is how many members Google counts, network by network: numbers as
// texts (reference/rest/v1/accountTypes.accounts.userLists, "sizeInfo").
type sizeInfo struct {
	Display string `json:"displayNetworkMembersCount"`
	Search  string `json:"searchNetworkMembersCount"`
	YouTube string `json:"youtubeMembersCount"`
	Gmail   string `json:"gmailMembersCount"`
}

// Size reads the members that Google has matched, from the network with the
// fewest to the one with the most. It shows 0 for a list that is small or new,
// which tells nothing.
func (l *lists) Size(ctx context.Context, a provider.Audience) (provider.Size, error) {
	got, err := l.known(ctx, a.Remote)
	if err != nil {
		return provider.Size{}, err
	}
	size := provider.Size{Low: -1, High: -1, Matched: true}
	if got.Size == nil {
		return size, nil
	}
	for _, text := range []string{got.Size.Display, got.Size.Search, got.Size.YouTube, got.Size.Gmail} {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n <= 0 {
			continue
		}
		if size.Low < 0 || n < size.Low {
			size.Low = n
		}
		size.High = max(size.High, n)
	}
	return size, nil
}
