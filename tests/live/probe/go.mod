module slipway.example/probe

go 1.26
