// Package microsoft stands in for Microsoft Advertising: the parts of the Campaign
// Management, Customer Management and Reporting services, version 13 in their REST
// form, that edit campaigns and read what they cost.
//
// It owns the tree of each account, tokens and reports, and imports nothing of the
// product. It must not take what the real one would refuse: unknown fields, ids that
// are numbers, lists over their limit and texts over their length are refused, and
// what is wrong with one row is said of that row in an answer that is otherwise good.
// It is built for the failure of an edit that is believed because the answer said 200.
//
// Its forms are those of Microsoft's own client libraries (BingAds REST SDKs, read
// 2026-11-22) and of the pages of the operations below learn.microsoft.com/advertising.
package microsoft
