"""Who somebody is: signing in with a wallet, browsers that are signed in, API tokens."""
