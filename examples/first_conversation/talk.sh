URL=${PARLEY_URL:-http://127.0.0.1:8000}
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }  # a text out of a JSON answer
ask() { curl -s -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" "$@"; }

# An account, a sign-in, a workspace with an agent, a chat
ask "$URL/register" -d '{"email":"ada@example.com","password":"correct horse battery"}'
TOKEN=$(ask "$URL/auth/login" -d '{"email":"ada@example.com","password":"correct horse battery"}' | field access_token)
WORKSPACE=$(ask "$URL/workspace" -d '{"name":"First steps"}' | field workspace_id)
ask "$URL/workspace/$WORKSPACE/agent" -d '{"agent_id":"echo"}'
CHAT=$(ask -X POST "$URL/chat?workspace_id=$WORKSPACE" | field chat_id)

# A socket, by long polling: open it, enter the chat, say something
SOCKET="$URL/socket.io/?EIO=4&transport=polling"
SOCKET="$SOCKET&sid=$(curl -s "$SOCKET" | field sid)"
PASS=$(ask "$URL/chat/authorize?chat_id=$CHAT" | field connection_string)
curl -s "$SOCKET" -H "Content-Type: text/plain" -d "40/chat,{\"connection_string\":\"$PASS\"}"
STRING=$(ask "$URL/chat/authorize/message?chat_id=$CHAT" | field message_string)
curl -s "$SOCKET" -H "Content-Type: text/plain" -d "42/chat,[\"message\",{\"message_string\":\"$STRING\",\"content\":\"Hello, agent\"}]"

# Listen until the agent's answer has come; then read what was said
for turn in 1 2 3 4 5 6 7 8; do
    HEARD=$(curl -s "$SOCKET" | tr "\036" "\n")
    printf "%s\n" "$HEARD"
    case $HEARD in *'"role":"assistant"'*) break ;; esac
done
ask "$URL/chat/$CHAT/messages"
