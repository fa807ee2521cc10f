-- The page of list.rs as one statement. $1 is the user.
WITH page AS MATERIALIZED (
    SELECT reading.*, row_number() OVER (ORDER BY created_at DESC, id DESC) AS number
    FROM (
        SELECT id, question, created_at, karma_context, character_voice, tags, is_favorite, summary,
            spread_template_id
        FROM reading_sessions
        WHERE user_id = $1 AND archived_at IS NULL
        ORDER BY created_at DESC, id DESC
        LIMIT 21
    ) AS reading
), edge AS (
    SELECT page.number,
        (extract(epoch FROM page.created_at) * 1000000)::bigint || ',' || page.id AS cursor,
        json_build_object(
            'id', page.id,
            'question', page.question,
            'createdAt', to_char(page.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'karmaContext', upper(page.karma_context),
            'characterVoice', upper(page.character_voice),
            'tags', page.tags,
            'isFavorite', page.is_favorite,
            'summary', page.summary,
            'spread', json_build_object('name', spread.name, 'displayName', spread_text.display_name),
            'cards', drawn.cards
        ) AS node
    FROM page
    JOIN spread_templates AS spread ON spread.id = page.spread_template_id
    JOIN spread_texts AS spread_text ON spread_text.spread_id = spread.id AND spread_text.locale = 'en'
    CROSS JOIN LATERAL (
        SELECT json_agg(json_build_object(
            'position', drawn.position_number,
            'orientation', upper(drawn.orientation),
            'positionName', drawn.position_name ->> 'en',
            'card', json_build_object(
                'code', card.code, 'name', card_text.name, 'suit', upper(card.suit)
            )
        ) ORDER BY drawn.position_number) AS cards
        FROM reading_cards AS drawn
        JOIN wasteland_cards AS card ON card.id = drawn.card_id
        JOIN card_texts AS card_text ON card_text.card_id = card.id AND card_text.locale = 'en'
        WHERE drawn.reading_id = page.id
    ) AS drawn
    WHERE page.number <= 20
)
SELECT json_build_object('data', json_build_object('viewer', json_build_object('readings', json_build_object(
    'pageInfo', json_build_object(
        'hasNextPage', (SELECT count(*) > 20 FROM page),
        'endCursor', (SELECT cursor FROM edge ORDER BY number DESC LIMIT 1)
    ),
    'edges', coalesce(
        (SELECT json_agg(json_build_object('cursor', cursor, 'node', node) ORDER BY number) FROM edge), '[]'
    )
))))::text
FROM users
WHERE users.id = $1 AND users.is_active
