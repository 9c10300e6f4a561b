"""What a client inside the VPC does with HSMs on TCP 2223-2225: the far end of cloudhsm-cli.

Every operation takes `ip` (an HSM's address), `ca` (the text of the client's customerCA.crt) and
`instance_id` (who asks), and answers the document that cloudhsm-cli prints, `{"error_code": 0,
"data": ...}`; an ApiError's message is the `data` of `{"error_code": 1, ...}`.

    activate              password
    user-list             no login needed (F3.12)
    hsm-info              no login needed
    user-create           login, new_username, new_password, role
    user-change-password  login, new_username, new_password, role
    user-delete           login, new_username, role

where login is `login_role` ("admin" or "crypto-user": CLOUDHSM_ROLE), `username` and `password`
(the two halves of CLOUDHSM_PIN).
"""
